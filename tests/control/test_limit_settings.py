import pytest

from cellwarden.control.limit_settings import Known, limits_of
from cellwarden.domain import CHEMISTRIES, Reaction
from control.scene import pack_of


@pytest.mark.parametrize("kind", sorted(CHEMISTRIES))
def test_the_most_that_is_allowed_is_the_operating_tier_of_the_pack(kind: str) -> None:
    limits = limits_of(pack_of(kind))
    tier = limits.pack.cell.limits.operating
    assert limits.prospect.most_ampere == (
        tier.high_discharge_current_ampere,
        tier.high_charge_current_ampere,
    )
    assert limits.prospect.horizon_second[limits.horizon_index] == 10.0


def test_nothing_is_known_and_nothing_held_against_the_pack_at_first() -> None:
    known = Known()
    assert (known.charge, known.condition, known.capability, known.ceilings) == (None,) * 3 + ((),)
    assert known.diagnosis.reaction is Reaction.RECORD
