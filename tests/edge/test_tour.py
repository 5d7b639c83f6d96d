"""A pack on tour: what really happens to its contactors, whatever the screens say."""

import pytest

from cellwarden.control import Mode
from cellwarden.domain import OPEN
from cellwarden.edge.mishaps import MISHAPS, mishap_named
from cellwarden.edge.tour import Glance, Rig, TourPack, scenes, visit
from cellwarden.errors import UsageError

# What is told, and how long after the first cycle of the mishap the contactors are open [s]. The
# overload waits for the fuse, which it does not blow; a weld is seen when the pack shall open.
EXPECTED = {
    "interlock": ("interlock_open", 0.6),
    "insulation": ("insulation_lost", 4.0),
    "gas": ("gas_high", 8.0),
    "chain": ("chain_broken", 1.0),
    "noise": ("cell_voltage_missing", 3.0),
    "cell_reading": ("cell_voltage_high_maximum", 1.0),
    "frozen_current": ("current_frozen", 6.5),
    "overload": ("discharge_current_maximum", 4.0),
}


def failing(name: str) -> tuple[Rig, list[Glance], list[bool]]:
    """The glances of a short tour, and whether current could really flow after each."""
    rig, pack = Rig(TourPack()), TourPack()
    glances, closed = [], []
    for glance in visit(rig, scenes(pack, mishap_named(name), whole=False)):
        glances.append(glance)
        closed.append(rig.emulated.contactors_really_closed)
    return rig, glances, closed


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_breaks_opens_the_pack_in_time_and_an_operator_brings_it_back(name: str) -> None:
    _, glances, closed = failing(name)
    told, allowance_second = EXPECTED[name]
    struck = next(i for i, glance in enumerate(glances) if glance.scene.name == "fail")
    assert all(closed[struck - 10 : struck])
    opened = next(i for i in range(struck, len(closed)) if not closed[i])
    assert glances[opened].second - glances[struck].second <= allowance_second
    assert not any(closed[opened:])
    error = next(g for g in glances if g.decision.mode is Mode.ERROR)
    assert told in {trouble.name for trouble in error.decision.diagnosis.troubles}
    assert glances[-1].decision.mode is Mode.STANDBY


def test_in_error_nothing_is_driven_and_no_current_allowed() -> None:
    _, glances, _ = failing("overload")
    errors = [glance.decision for glance in glances if glance.decision.mode is Mode.ERROR]
    assert errors
    for decision in errors:
        assert decision.command.contactors == OPEN
        assert decision.command.high_discharge_current_ampere == 0.0


def test_a_silent_vehicle_leads_to_standby_and_not_to_error() -> None:
    _, glances, closed = failing("master")
    modes = [glance.decision.mode for glance in glances if glance.scene.name == "fail"]
    assert Mode.ERROR not in modes
    assert modes[-1] is Mode.STANDBY
    assert not closed[-1]


def test_a_welded_contactor_is_named_and_keeps_the_pack_in_error() -> None:
    rig, glances, closed = failing("weld")
    decision = glances[-1].decision
    assert decision.mode is Mode.ERROR
    assert "machine.plus_welded" in {trouble.name for trouble in decision.diagnosis.troubles}
    assert rig.emulated.state.path.plus.closed  # it really is
    assert not closed[-1]  # but minus is open


def test_a_burnt_precharge_resistor_never_lets_plus_close() -> None:
    _, glances, closed = failing("precharge")
    tried = [index for index, glance in enumerate(glances) if glance.scene.name == "try"]
    assert not any(closed[index] for index in tried)
    assert (
        sum(
            move.target is Mode.PRECHARGE
            for index in tried
            for move in glances[index].decision.moves
        )
        == 3
    )
    assert glances[tried[-1]].decision.mode is Mode.ERROR


def test_every_mishap_is_shown_here() -> None:
    assert set(MISHAPS) == set(EXPECTED) | {"master", "weld", "precharge"}


def test_an_unknown_mishap_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="meteor") as refused:
        mishap_named("meteor")
    assert "interlock" in refused.value.hint
