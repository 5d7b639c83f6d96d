"""Days of the twin go in: the paired cells stay known, others are found, through restarts."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.home import Home
from cellwarden.cli.pairing import pair_command
from cellwarden.domain import Finding, Frames, Pack, Severity
from cellwarden.edge.config import open_outbox
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.pack_identity import CELLS_KEPT, PackIdentity, element_of
from cellwarden.edge.recognise import RUN, TEMPLATE_PRINTS, Recogniser
from cellwarden.physics.fault import Fault, FaultKind
from cellwarden.physics.twin import Twin, TwinConfig
from cellwarden.trust.identity import Roots, load_certificate

NAME = "bms-1"
CELLS = 8
DAY = 86_400.0
BEGIN = 1_800_000_000.0 // DAY * DAY
HOURS = 1.5
SPREAD, NEW = 0.1, 0.03
SWAPPED = 5
CELSIUS = (25.0, 18.0, 30.0, 10.0)
CONTACT = Fault(FaultKind.CONTACT_RESISTANCE, 0.0, 0.03, item=SWAPPED)


def config(
    seed: int, celsius: float = 25.0, faults: tuple[Fault, ...] = (), spread: float = SPREAD
) -> TwinConfig:
    return TwinConfig(
        "pack",
        chemistry="NMC",
        series_count=CELLS,
        seed=seed,
        profile="drive",
        duration_second=HOURS * 3600.0,
        ambient_temperature_celsius=celsius,
        resistance_spread_fraction=spread,
        faults=faults,
    )


@cache
def course(seed: int, celsius: float, faults: tuple[Fault, ...], spread: float) -> Frames:
    frames = Twin(config(seed, celsius, faults, spread)).read(100_000)
    assert frames is not None
    return frames


def day(
    index: int, seed: int = 1, faults: tuple[Fault, ...] = (), spread: float = SPREAD
) -> Frames:
    """A drive of an hour and a half, at another temperature each day."""
    made = course(seed, CELSIUS[index % len(CELSIUS)], faults, spread)
    begun = BEGIN + DAY * index - made.unix_time_second[0]
    return Frames(
        made.unix_time_second + begun,
        made.voltage_volt,
        made.current_ampere,
        made.cell_voltage_volt,
        made.cell_temperature_celsius,
    )


def pack() -> Pack:
    return config(1).pack()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("home"))
    home.init(device_port=1, page_port=2)  # nobody listens there
    home.enrol(NAME)
    pair_command(home, NAME, "pack-1")
    return home.device(NAME)


class Device:
    """Both witnesses of one device, as its controller has them."""

    def __init__(self, folder: Path, outbox: Outbox, pack: Pack) -> None:
        roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
        element = element_of(folder)
        self.outbox = outbox
        self.identity = PackIdentity(NAME, element, outbox, lambda: roots, time.time)
        self.identity.ask()
        self.recogniser = Recogniser(pack, outbox, self.identity, time.time)

    def live(
        self, days: range, seed: int = 1, faults: tuple[Fault, ...] = (), spread: float = SPREAD
    ) -> list[Finding]:
        """Days in batches of a minute."""
        found: list[Finding] = []
        for index in days:
            frames = day(index, seed, faults, spread)
            for start in range(0, len(frames), 60):
                found += self.recogniser.look(frames.rows(start, start + 60))
        return found

    @property
    def told(self) -> str:
        return self.identity.known[0]

    @property
    def charge_fraction(self) -> float:
        permission = self.identity.permission(0.1, closed=True)
        assert permission is not None
        return permission.charge_fraction


Open = Callable[[], Device]
LEARNT = TEMPLATE_PRINTS + 1  # a day is judged when the next one begins


@pytest.fixture
def device(folder: Path) -> Iterator[Open]:
    with closing(open_outbox(folder)) as outbox:
        outbox.keep(CELLS_KEPT, b"")
        yield lambda: Device(folder, outbox, pack())


def test_the_same_pack_stays_genuine_in_the_warm_in_the_cold_and_after_restarts(
    device: Open,
) -> None:
    one = device()
    assert one.live(range(3)) == []
    for start in range(3, 24, 3):
        again = device()
        assert again.live(range(start, start + 3)) == []
        assert again.told == "genuine"
    assert again.charge_fraction == 1.0


def test_other_cells_behind_the_same_key_are_unlike_in_three_days_and_after_a_restart(
    device: Open,
) -> None:
    one = device()
    one.live(range(LEARNT))
    assert one.live(range(LEARNT, LEARNT + RUN), seed=2) == []
    assert one.told == "genuine", "two unlike days are none too many"
    (found,) = one.live(range(LEARNT + RUN, LEARNT + RUN + 1), seed=2)
    assert found.severity is Severity.WARNING
    assert "the pack is unlike: its key is right" in found.message
    assert found.evidence["score"] < found.evidence["limit"]
    for later in (one, device()):
        assert later.told == "unlike"
        assert later.charge_fraction == 0.0
    later.identity.ask()
    assert later.told == "unlike", "its key makes nothing better"
    begun = LEARNT + RUN + 1
    (found,) = later.live(range(begun, begun + RUN + 1))
    assert "alike again" in found.message
    assert later.told == "genuine"


def test_one_cell_with_far_more_resistance_is_named(device: Open) -> None:
    one = device()
    one.live(range(LEARNT))
    (found,) = one.live(range(LEARNT, LEARNT + RUN + 1), faults=(CONTACT,))
    assert found.item == SWAPPED
    assert f"cell {SWAPPED} is least like" in found.message
    assert one.told == "unlike"


def test_a_cell_that_is_cooled_worse_is_no_other_cell(device: Open) -> None:
    one = device()
    one.live(range(LEARNT))
    hot = Fault(FaultKind.COOLING_LOSS, 0.0, 0.8, item=SWAPPED)
    assert one.live(range(LEARNT, LEARNT + RUN + 1), faults=(hot,)) == []
    assert one.told == "genuine"


def test_new_packs_whose_cells_hardly_differ_are_not_told_apart(device: Open) -> None:
    one = device()
    one.live(range(LEARNT), spread=NEW)
    assert one.live(range(LEARNT, LEARNT + RUN + 1), seed=2, spread=NEW) == []
    assert one.told == "genuine", "a limit that the page names"


def test_pairing_anew_learns_the_cells_that_are_there(device: Open) -> None:
    one = device()
    one.live(range(LEARNT))
    one.live(range(LEARNT, LEARNT + RUN + 1), seed=2)
    assert one.told == "unlike"
    one.identity.pair()
    again = device()
    assert again.told == "genuine"
    begun = LEARNT + RUN + 1
    assert again.live(range(begun, begun + LEARNT + RUN + 1), seed=2) == []
    assert again.told == "genuine"


def test_a_pack_that_rests_gives_no_print(device: Open) -> None:
    one = device()
    one.live(range(LEARNT))
    drives = day(0)
    templates = []
    for index in range(LEARNT, LEARNT + 6):
        resting = Frames(
            drives.unix_time_second + DAY * index,
            drives.voltage_volt,
            np.zeros_like(drives.current_ampere),
            drives.cell_voltage_volt,
            drives.cell_temperature_celsius,
        )
        assert one.recogniser.look(resting) == []
        assert one.recogniser.edge_count == 0
        templates.append(one.recogniser.template)
    assert templates[0] is not None
    for later in templates:
        assert later is not None
        np.testing.assert_array_equal(later.log_ohm, templates[0].log_ohm)


def test_however_batches_are_cut_the_cells_answer_alike(device: Open) -> None:
    whole, cut = device().recogniser, device().recogniser
    frames = day(0)
    whole.look(frames)
    for start in range(0, len(frames), 7):
        cut.look(frames.rows(start, start + 7))
    assert whole.edge_count == cut.edge_count > 0
    assert cut.held_frame_count < 20


def test_a_cell_whose_voltage_is_missing_keeps_the_pack_from_a_print(device: Open) -> None:
    one = device()
    for index in range(LEARNT):
        frames = day(index)
        volt = frames.cell_voltage_volt.copy()
        volt[:, 2] = np.nan
        one.recogniser.look(
            Frames(
                frames.unix_time_second,
                frames.voltage_volt,
                frames.current_ampere,
                volt,
                frames.cell_temperature_celsius,
            )
        )
    assert one.recogniser.template is None


def test_two_cells_or_no_pairing_give_nothing(folder: Path, tmp_path: Path) -> None:
    with closing(open_outbox(folder)) as outbox:
        outbox.keep(CELLS_KEPT, b"")
        small = TwinConfig("pack", series_count=2).pack()
        one = Device(folder, outbox, small)
        one.live(range(2))
        assert outbox.kept(CELLS_KEPT) == b""
    home = Home(tmp_path / "home")
    home.init(device_port=1, page_port=2)  # nobody listens there
    home.enrol(NAME)
    with closing(open_outbox(home.device(NAME))) as outbox:
        one = Device(home.device(NAME), outbox, pack())
        assert one.live(range(2)) == []
        assert one.told == ""
        assert outbox.kept(CELLS_KEPT) is None


def test_what_was_kept_and_cannot_be_read_is_told_and_learnt_anew(device: Open) -> None:
    one = device()
    one.live(range(1))
    one.outbox.keep(CELLS_KEPT, b"\x80")
    (found,) = device().live(range(1))
    assert "cannot be read" in found.message
