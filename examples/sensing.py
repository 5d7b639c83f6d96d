"""From a code to a number that can be believed: thermistors, converters, wires, clock, memory.

    python examples/sensing.py                  every part
    python examples/sensing.py chain clock      some of them

The pack is a twin with its hardware around it; what it says is real bytes, and each part spoils
them, or the hardware, and prints what the driver makes of it beside the truth.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from cellwarden.domain import CLOSED, OPEN, Board, Command, Contactors
from cellwarden.edge import clock_error as clocks
from cellwarden.edge.drivers import adc, register
from cellwarden.edge.drivers.board import BoardDriver
from cellwarden.edge.drivers.disturb import Delay, Drop, Flip, Repeat, When
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.edge.drivers.thermistor import NTC_10K, Divider
from cellwarden.edge.logbook import Logbook
from cellwarden.edge.medium import MemoryMedium
from cellwarden.errors import UnavailableError
from cellwarden.physics import TwinConfig
from cellwarden.physics.hardware import Hardware, Outside
from cellwarden.physics.path import Damage

PRECHARGE = Command(
    Contactors(plus_closed=False, minus_closed=True, precharge_closed=True), 50.0, 150.0
)
DRIVE = Command(CLOSED, 50.0, 150.0)
REST = Command(OPEN, 0.0, 0.0)
_CUTS = 300


def pack_of(series_count: int = 96, board: Board | None = None) -> EmulatedPack:
    """A pack of 50 Ah cells, looked at every 100 ms."""
    twin = TwinConfig(
        "pack-1", series_count=series_count, nominal_capacity_ah=50.0, period_second=0.1, seed=1
    )
    return EmulatedPack(Hardware(twin, board or Board()))


def connect(driver: BoardDriver) -> None:
    """Precharge, then close."""
    for command in (PRECHARGE,) * 8 + (DRIVE,) * 2:
        driver.write(command)
        driver.read()


def show_thermistor() -> None:
    """A code of the converter, as a temperature."""
    divider = Divider(NTC_10K)
    for celsius in (-20.0, 25.0, 60.0):
        code = int(adc.RATIO.code(divider.ratio(np.array(celsius))))
        here, beside = divider.celsius(adc.RATIO.value(np.array([code, code + 1])))
        print(f"{celsius:5.0f} °C: code {code}, one code is {abs(beside - here) * 1000:.1f} mK")
    ends = divider.celsius(np.array([1.0, 0.0]))
    print(f"sensor off: {ends[0]} °C, sensor shorted: {ends[1]} °C")


def show_reference() -> None:
    """A reference that drifts moves every cell, and only the second reference tells."""
    pack = pack_of(12)
    driver = emulate(pack)
    good = driver.read()
    pack.outside = Outside(damage=Damage(reference_error_fraction=((0, 0.01),)))
    bad = driver.read()
    for name, reading in (("whole", good), ("1 % high", bad)):
        second = reading.monitors.reference_volt
        holds = bool(adc.reference_holds(second, 3.0)[0])
        volt = reading.frame.cell_voltage_volt[0]
        print(f"reference {name}: cell {volt:.3f} V, second {second[0]:.4f} V, holds: {holds}")
    print(f"converters pass their self-test: {bool(driver.test_converters().all())}")


def show_frames() -> None:
    """Every way to invert one or two bits, and bursts, of every kind of frame."""
    refused = tried = 0
    for code in sorted(register.READS):
        sent = register.frames(code, np.array([[1, 2, 40_000]], dtype=np.uint16), np.array([9]))[0]
        size = 8 * len(sent)
        masks = [1 << a | 1 << b for a in range(size) for b in range(a + 1)]
        masks += [burst << at for burst in range(5, 1 << 10, 2) for at in range(size - 10)]
        whole = int.from_bytes(sent.tobytes(), "big")
        spoilt = b"".join((whole ^ mask).to_bytes(len(sent), "big") for mask in masks)
        read = register.check([code], [spoilt], len(masks))
        refused, tried = refused + int(np.count_nonzero(~read.whole)), tried + len(masks)
    print(f"frames with one or two bits or a burst inverted: {tried}, refused {refused}")


def show_chain() -> None:
    """A link of the chain breaks, with one port and with two; a sense wire comes off."""
    for ports in (1, 2):
        pack = pack_of()
        driver = emulate(pack, port_count=ports)
        driver.read()
        pack.cut_links.add(3)
        told = [driver.read() for _ in range(2)]
        blind = [int(np.count_nonzero(np.isnan(one.frame.cell_voltage_volt))) for one in told]
        print(
            f"{ports} port(s): link {told[0].monitors.broken_link} named in the first cycle,"
            f" cells without a reading: {blind[0]}, then {blind[1]}"
        )
    pack = pack_of()
    driver = emulate(pack)
    driver.read()
    pack.outside = Outside(damage=Damage(open_wires=frozenset({(2, 5)})))
    begun = pack.second
    reading = driver.read()
    while not reading.monitors.open_wire.any():
        reading = driver.read()
    cells = np.flatnonzero(reading.monitors.open_wire).tolist()
    print(f"open wire: cells {cells} after {reading.clock_second - begun:.1f} s")


def show_bytes() -> None:
    """What happens to bytes between board and driver, and what the driver makes of it."""
    rows = (
        ("nothing", None),
        ("a bit flips", Flip("board", (40,), When(2.0))),
        ("frames are lost", Drop("board", When(2.0))),
        ("frames come again", Repeat("board", When(2.0))),
        ("frames come 300 ms late", Delay("board", 6, When(2.0))),
        ("orders are lost", Drop("order", When(2.0))),
    )
    for name, spoil in rows:
        pack = pack_of(16)
        driver = emulate(pack)
        connect(driver)
        if spoil is not None:
            pack.wire.append(spoil)
        while pack.second < 2.95:  # noqa: PLR2004  a second after it began
            driver.write(DRIVE)
            reading = driver.read()
        inputs = reading.inputs
        print(
            f"{name}: current {reading.frame.current_ampere:.2f} A,"
            f" age {inputs.current_age_second:.1f} s, refused {inputs.bus_error_count},"
            f" contactors closed: {pack.contactors_really_closed}"
        )


def show_path() -> None:
    """Precharge, and what becomes of a contactor that closes without it."""
    pack = pack_of()
    driver = emulate(pack)
    driver.write(PRECHARGE)
    for _ in range(6):
        reading = driver.read()
        gap = reading.frame.voltage_volt - reading.inputs.link_voltage_volt
        print(
            f"{reading.clock_second:.1f} s: link {gap:6.1f} V below the pack,"
            f" current {reading.frame.current_ampere:5.2f} A"
        )
        driver.write(PRECHARGE)
    for name, first in (("with precharge", PRECHARGE), ("without", REST)):
        pack = pack_of()
        driver = emulate(pack)
        for command in (first,) * 10 + (DRIVE,) * 2 + (REST,) * 3:
            driver.write(command)
            reading = driver.read()
        print(f"opened again, {name}: plus closed {reading.inputs.plus_feedback_closed}")


def show_clock() -> None:
    """A clock 25 ppm fast, asked against a source of ±50 ms each hour, then set by a minute."""
    crystal, generator = clocks.Crystal(), np.random.default_rng(1)
    state, error, told = clocks.begin(crystal), 2.0, None
    for minute in range(24 * 60 + 1):
        second, error = 60.0 * minute, 2.0 + 25e-6 * 60.0 * minute
        source = second + 0.05 * generator.standard_normal() if minute % 60 == 0 else np.nan
        sight = clocks.Sight(second * (1.0 + 25e-6), second + error, source, 0.05)
        state, told = clocks.step(crystal, state, sight)
    assert told is not None  # noqa: S101  a day has minutes
    found = f"{told.error_second:.3f} ± {told.error_std_second:.3f} s"
    print(f"after a day: error {found} (true {error:.3f})")
    print(f"drift {told.drift_ppm:.1f} ppm (true 25.0)")
    second = 60.0 * (24 * 60 + 1)
    sight = clocks.Sight(second * (1.0 + 25e-6), second + error - 60.0)
    _, told = clocks.step(crystal, state, sight)
    print(f"set by a minute: jump {told.jump_second:.2f} s, backwards: {told.backwards}")


@dataclass
class Plug:
    """A medium whose power can be pulled between writing and being safe."""

    medium: MemoryMedium
    pulled: bool = False

    def read(self) -> bytes:
        """All of it."""
        return self.medium.read()

    def write(self, offset: int, content: bytes) -> None:
        """Into the cache of the medium."""
        self.medium.write(offset, content)

    def sync(self) -> None:
        """Safe, unless the power goes first."""
        if self.pulled:
            raise UnavailableError("the power is off", hint="Put the plug back.")
        self.medium.sync()

    def close(self) -> None:
        """Nothing to let go of."""


def show_logbook() -> None:
    """Hundreds of power cuts while events are written, and what the medium wears by."""
    medium, generator = MemoryMedium(Logbook.byte_count(2048, 4)), np.random.default_rng(2)
    number = lost = torn = 0
    for _ in range(_CUTS):
        plug = Plug(medium)
        logbook = Logbook(plug, bytes(32), segment_bytes=2048, segment_count=4)
        told = []
        for _ in range(int(generator.integers(1, 6))):
            logbook.record("event", b"%d" % number)
            told.append(number)
            number += 1
        plug.pulled = True
        with suppress(UnavailableError):
            logbook.record("event", b"never acknowledged")
        medium.cut_power(int(generator.integers(2**32)))
        logbook = Logbook(medium, bytes(32), segment_bytes=2048, segment_count=4)
        there = {entry.body for entry in logbook.entries()}
        lost += sum(b"%d" % one not in there for one in told)
        torn += logbook.found.torn
    print(f"acknowledged {number} events over {_CUTS} power cuts: lost {lost}, torn ends {torn}")
    logbook = Logbook(MemoryMedium(Logbook.byte_count()), bytes(32))
    for tenth in range(0, 864_000, 10):  # a state each second, for a day
        logbook.keep("charge", tenth.to_bytes(40, "big"), tenth / 10.0)
    print(f"a state of 40 bytes for a day: {logbook.written_byte_count / 1e6:.2f} MB written")


def show_cost() -> None:
    """What one control cycle of reading and writing costs, the emulated pack included."""
    for series_count in (1, 16, 200):
        pack = pack_of(series_count)
        driver = emulate(pack)
        driver.read()
        begun = time.process_time()
        for _ in range(200):
            pack.tick()
            pack.receive()
        hardware = time.process_time() - begun
        begun = time.process_time()
        for _ in range(200):
            driver.write(REST)
            driver.read()
        whole = time.process_time() - begun
        print(
            f"{series_count} cells: {whole * 5:.2f} ms of CPU a cycle,"
            f" of which twin and hardware {hardware * 5:.2f} ms"
        )


PARTS: dict[str, Callable[[], None]] = {
    name.removeprefix("show_"): part
    for name, part in list(globals().items())
    if name.startswith("show_")
}


def main(wanted: list[str]) -> int:
    """Run the parts that are asked for, or all."""
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"no part {unknown[0]}; there are {', '.join(PARTS)}")
        return 2
    for name in wanted or PARTS:
        print(f"--- {name}")
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
