import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, OPEN, Board, Contactors
from cellwarden.physics.path import NAMES, Damage, Drive, Path, PathConfig, follow, step

CONFIG, BOARD = PathConfig(), Board()
PRECHARGE = Contactors(plus_closed=False, minus_closed=True, precharge_closed=True)
HOLD = Contactors(plus_closed=True, minus_closed=True, precharge_closed=True)
VOLT = 400.0


def run(
    path: Path,
    asked: Contactors,
    *,
    second: float = 0.1,
    wanted: float = 0.0,
    damage: Damage | None = None,
    count: int = 1,
) -> tuple[Path, list[float]]:
    amperes = []
    for _ in range(count):
        drive = Drive(asked, VOLT, wanted, second)
        path, ampere = step(CONFIG, BOARD, path, drive, damage or Damage())
        path = follow(path, VOLT)
        amperes.append(ampere)
    return path, amperes


def connected() -> Path:
    path, _ = run(Path(), PRECHARGE, count=10)
    path, _ = run(path, HOLD)
    path, _ = run(path, CLOSED)
    return path


def test_the_link_charges_through_the_resistor_as_an_rc_does() -> None:
    path, amperes = run(Path(), PRECHARGE)
    tau = BOARD.precharge_ohm * BOARD.link_farad
    flowing = 0.1 - CONFIG.close_second
    assert path.link_volt == pytest.approx(VOLT * (1.0 - math.exp(-flowing / tau)))
    assert sum(amperes) * 0.1 == pytest.approx(-BOARD.link_farad * path.link_volt)
    assert max(abs(ampere) for ampere in amperes) <= VOLT / BOARD.precharge_ohm


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40))
def test_the_length_of_a_period_does_not_change_what_happens(pieces: int) -> None:
    whole, moved = run(Path(), PRECHARGE, second=0.2)
    path, amperes = run(Path(), PRECHARGE, second=0.2 / pieces, count=pieces)
    assert path.link_volt == pytest.approx(whole.link_volt, rel=1e-9)
    assert sum(amperes) / pieces == pytest.approx(moved[0], rel=1e-9)


def test_a_contact_moves_after_its_delay_and_no_sooner() -> None:
    minus = Contactors(plus_closed=False, minus_closed=True)
    path, _ = run(Path(), minus, second=CONFIG.close_second * 0.9)
    assert not path.minus.closed
    path, _ = run(path, minus, second=CONFIG.close_second * 0.2)
    assert path.minus.closed
    path, _ = run(path, OPEN, second=CONFIG.open_second * 0.9)
    assert path.minus.closed
    path, _ = run(path, OPEN, second=CONFIG.open_second * 0.2)
    assert not path.minus.closed


def test_a_load_gets_current_through_both_main_contacts_only() -> None:
    for plus in (False, True):
        for minus in (False, True):
            path, amperes = run(
                replace(connected(), plus=Path().plus, minus=Path().minus),
                Contactors(plus_closed=plus, minus_closed=minus),
                wanted=-50.0,
                count=3,
            )
            assert amperes[-1] == (-50.0 if plus and minus else 0.0)
            assert path.main_closed == (plus and minus)


def test_closing_onto_an_empty_link_welds_and_after_precharge_it_does_not() -> None:
    path, amperes = run(Path(), CLOSED)
    assert amperes[0] == pytest.approx(-BOARD.link_farad * VOLT / 0.1)
    path, _ = run(path, OPEN, count=3)
    assert path.plus.closed
    assert not path.minus.closed
    path, _ = run(connected(), OPEN, count=3)
    assert not path.plus.closed


def test_breaking_a_short_circuit_welds_and_breaking_a_load_does_not() -> None:
    for wanted, welded in ((-100.0, False), (-3000.0, True)):
        path, _ = run(connected(), CLOSED, wanted=wanted)
        path, _ = run(path, OPEN, wanted=wanted, count=2)
        assert path.main_closed == welded


@pytest.mark.parametrize("name", NAMES)
def test_a_welded_contact_stays_closed_and_a_stuck_one_stays_open(name: str) -> None:
    path, _ = run(connected(), OPEN, damage=Damage(welded=frozenset({name})), count=3)
    assert [contact.closed for contact in path.contacts] == [one == name for one in NAMES]
    path, _ = run(Path(), HOLD, damage=Damage(stuck_open=frozenset({name})), count=3)
    assert [contact.closed for contact in path.contacts] == [one != name for one in NAMES]


def test_the_fuse_carries_its_rating_for_ever_and_melts_the_sooner_the_more() -> None:
    path, _ = run(connected(), CLOSED, wanted=-1.25 * BOARD.fuse_ampere, second=1.0, count=3600)
    assert path.fuse_intact
    times = []
    for factor in (1.7, 3.0, 10.0, 20.0):
        path, count = connected(), 0
        while path.fuse_intact:
            path, amperes = run(path, CLOSED, wanted=-factor * BOARD.fuse_ampere, second=0.01)
            count += 1
        times.append(count * 0.01)
        assert abs(amperes[0]) <= factor * BOARD.fuse_ampere
        path, amperes = run(path, CLOSED, wanted=-10.0)
        assert amperes == [0.0]
    assert times == sorted(times, reverse=True)
    # Far above its rating it is the square of the current times the time that melts it.
    assert times[-2] * 100.0 == pytest.approx(times[-1] * 400.0, rel=0.05)


def test_a_fuse_that_melts_within_a_period_lets_only_that_part_of_the_current_through() -> None:
    wanted = -20.0 * BOARD.fuse_ampere
    path, fine = run(connected(), CLOSED, wanted=wanted, second=0.001, count=1000)
    assert not path.fuse_intact
    path, coarse = run(connected(), CLOSED, wanted=wanted, second=1.0)
    assert not path.fuse_intact
    assert coarse[0] == pytest.approx(sum(fine) / 1000, rel=0.01)
    assert 0.0 > coarse[0] > 0.5 * wanted


def test_an_open_link_discharges_and_a_load_during_precharge_keeps_it_low() -> None:
    path, _ = run(connected(), OPEN, second=10.0, count=6)
    assert path.link_volt < 1.5
    loaded, _ = run(Path(), PRECHARGE, damage=Damage(link_load_ampere=1.0), count=20)
    assert loaded.link_volt == pytest.approx(VOLT - BOARD.precharge_ohm)
