"""Days go in as batches; decisions, wishes and bounds come out as they should, over restarts."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.adapting import Leash, adapt_command, wish_command
from cellwarden.cli.home import Home
from cellwarden.domain import Finding, Frames, Pack, Regime, chemistry_named
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.adapting import LEEWAY_FILE, WISH_FILE, Adapter, Wish
from cellwarden.edge.config import open_outbox
from cellwarden.errors import UsageError
from cellwarden.trust.identity import Roots, load_certificate

NAME = "pack-1"
DAY = 86_400.0
BEGIN = 1_800_000_000.0 // DAY * DAY
LEASH = Leash(
    applies=True,
    gentle=Regime(0.15, 0.7, 0.2, 30.0),
    free=Regime(),
    unmet_day_fraction=0.02,
    unserved_fraction=0.005,
    days=4000.0,
)


@cache
def pack() -> Pack:
    nmc = chemistry_named("NMC")
    return Pack(NAME, Cell(nmc, 50.0, tiers(nmc, 50.0)), 4)


def day(index: int, need: float = 0.25) -> Frames:
    """A day every five minutes: driving at six, charging from six in the evening on."""
    time = BEGIN + DAY * index + np.arange(0.0, DAY, 300.0)
    hour = (time - BEGIN - DAY * index) / 3600.0
    drives, charges = (hour >= 6.0) & (hour < 8.0), (hour >= 18.0) & (hour < 20.0)
    rate = (charges.astype(float) - drives.astype(float)) * need / 2.0
    soc = 0.99 - need + np.cumsum(rate) / 12.0 + need
    count, single = len(time), np.float32
    return Frames(
        time,
        np.full(count, 14.4, dtype=single),
        (rate * 50.0).astype(single),
        np.full((count, 4), 3.6, dtype=single),
        np.full((count, 2), 22.0, dtype=single),
        np.full(count, 18.0, dtype=single),
        soc_fraction=soc.astype(single),
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.init(device_port=1, page_port=2)  # nobody listens there
    made.enrol(NAME)
    return made


@pytest.fixture
def adapter(home: Home) -> Iterator[Callable[[], Adapter]]:
    folder = home.device(NAME)
    with closing(open_outbox(folder)) as outbox:
        roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))

        def make() -> Adapter:
            import time

            return Adapter(folder, NAME, pack(), outbox, roots=lambda: roots, now=time.time)

        yield make


def live(adapter: Adapter, days: range, need: float = 0.25) -> list[Finding]:
    return [found for index in days for found in adapter.look(day(index, need))]


def test_without_bounds_nothing_is_adapted(adapter: Callable[[], Adapter]) -> None:
    one = adapter()
    assert live(one, range(40)) == []
    assert one.regime is None


def test_a_pack_adapts_within_signed_bounds_and_goes_on_after_a_restart(
    home: Home, adapter: Callable[[], Adapter]
) -> None:
    adapt_command(home, NAME, LEASH)
    one = adapter()
    told = live(one, range(20))
    assert told == []
    again = adapter()
    told = live(again, range(20, 34))
    assert [finding.signal for finding in told] == ["high_soc_fraction"]
    assert "saves" in told[0].message
    assert again.regime is not None
    assert again.regime.high_soc_fraction == 0.7
    assert adapter().regime == again.regime


def test_a_wish_overrules_and_an_undo_takes_back(
    home: Home, adapter: Callable[[], Adapter]
) -> None:
    adapt_command(home, NAME, LEASH)
    one = adapter()
    live(one, range(34))
    wish_command(home, NAME, Wish("high_soc_fraction", 1.0, 30.0))
    assert "overruled" in live(one, range(34, 35))[0].message
    assert one.regime is not None
    assert one.regime.high_soc_fraction == 1.0
    assert not (home.device(NAME) / WISH_FILE).exists()
    wish_command(home, NAME, Wish(undo=True))
    assert "undone" in live(one, range(35, 36))[0].message
    assert one.regime.high_soc_fraction == 0.7


def test_bounds_that_were_altered_are_an_alarm_and_free_the_pack(
    home: Home, adapter: Callable[[], Adapter]
) -> None:
    adapt_command(home, NAME, LEASH)
    one = adapter()
    live(one, range(34))
    path = home.device(NAME) / LEEWAY_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    told = live(one, range(34, 36))
    assert "not believed" in told[0].message
    assert one.regime is None


def test_wishes_that_cannot_be_are_told_and_nothing_changes(
    home: Home, adapter: Callable[[], Adapter]
) -> None:
    one = adapter()
    path = home.device(NAME) / WISH_FILE
    for text in ("colour = 3", "setting = 'high_soc_fraction'\nvalue = 1.0", "undo = true", "\x00"):
        path.write_text(text)
        assert [finding.signal for finding in live(one, range(1))] == ["wish"]
        assert not path.exists()
    assert one.regime is None


def test_what_cannot_be_is_refused_on_the_command_line(home: Home) -> None:
    with pytest.raises(UsageError):
        adapt_command(home, "nobody", LEASH)
    with pytest.raises(UsageError):
        adapt_command(home, NAME, replace(LEASH, days=0.0))
    with pytest.raises(UsageError):
        wish_command(home, NAME, Wish())
    with pytest.raises(UsageError):
        wish_command(home, NAME, Wish("colour", 1.0))


def test_batches_of_a_few_frames_make_a_day_as_well(
    home: Home, adapter: Callable[[], Adapter]
) -> None:
    adapt_command(home, NAME, LEASH)
    one = adapter()
    for index in range(34):
        whole = day(index)
        for start in range(0, len(whole), 2):
            one.look(whole.rows(start, start + 2))
    assert one.regime is not None
    assert one.regime.high_soc_fraction == 0.7
