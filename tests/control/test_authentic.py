import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.control.authentic import LIMP_FRACTION, LIMP_SECOND, Doubt, permit, tighten
from cellwarden.domain import Allowance, Authenticity, Reaction

DOUBTED = [kind for kind in Authenticity if kind is not Authenticity.GENUINE]
FULL = Allowance(10.0, 20.0, 1000.0, 2000.0)


def test_the_paired_pack_may_do_everything() -> None:
    doubt, permission = permit(Doubt(), Authenticity.GENUINE, 1.0, closed=True)
    assert doubt == Doubt()
    assert permission.reaction is Reaction.RECORD
    assert tighten(FULL, permission) == FULL


@pytest.mark.parametrize("kind", DOUBTED)
def test_a_doubted_pack_is_not_charged_and_limps(kind: Authenticity) -> None:
    _, permission = permit(Doubt(), kind, 0.1, closed=True)
    held = tighten(FULL, permission)
    assert held.charge_ampere == held.charge_watt == 0.0
    assert held.discharge_ampere == pytest.approx(LIMP_FRACTION * FULL.discharge_ampere)
    assert held.charge_by[-1].name.startswith("authenticity")
    assert permission.reason


@pytest.mark.parametrize("kind", DOUBTED)
def test_doubt_never_opens_closed_contactors(kind: Authenticity) -> None:
    doubt = Doubt()
    for _ in range(5):
        doubt, permission = permit(doubt, kind, LIMP_SECOND, closed=True)
        assert permission.reaction < Reaction.OPEN


def test_limping_ends_after_its_time_and_begins_anew_with_the_paired_pack() -> None:
    doubt, permission = permit(Doubt(), Authenticity.SILENT, LIMP_SECOND / 2, closed=True)
    assert permission.reaction is Reaction.FORBID_CHARGE
    doubt, permission = permit(doubt, Authenticity.SILENT, LIMP_SECOND, closed=False)
    assert permission.reaction is Reaction.FORBID_CHARGE, "time apart does not count"
    doubt, permission = permit(doubt, Authenticity.SILENT, LIMP_SECOND / 2, closed=True)
    assert permission.reaction is Reaction.FORBID_CLOSE
    doubt, _ = permit(doubt, Authenticity.GENUINE, 0.1, closed=True)
    assert doubt == Doubt()


@given(
    st.sampled_from(Authenticity),
    st.floats(0.0, 1e4),
    st.floats(0.0, 1e4),
)
def test_no_permission_loosens(kind: Authenticity, charge: float, discharge: float) -> None:
    _, permission = permit(Doubt(), kind, 1.0, closed=True)
    held = tighten(Allowance(charge, discharge, charge, discharge), permission)
    assert held.charge_ampere <= charge
    assert held.discharge_ampere <= discharge
