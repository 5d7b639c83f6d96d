"""What can happen to a pack on a tour: each is really done, in its parts, on its wires or outside.

A mishap strikes while the pack drives. `asked` is what the vehicle asks for from then on; an
operator mends the pack afterwards, where that needs no new part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from cellwarden.domain import Request
from cellwarden.edge.drivers.disturb import Add, Flip, Hold
from cellwarden.edge.drivers.emulated import EmulatedPack
from cellwarden.errors import UsageError
from cellwarden.physics.path import Damage

__all__ = ["MISHAPS", "Mishap", "mishap_named"]


def _nothing(_pack: EmulatedPack) -> None:
    """Leave wires and raw values alone."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """What breaks, on which wire, and what the load and the vehicle do about it."""

    name: str
    told: str
    damage: Damage = field(default_factory=Damage)
    strike: Callable[[EmulatedPack], None] = _nothing
    asked: Request | None = Request.CONNECT
    overload_rate: float | None = None  # current over capacity that is drawn against all limits
    reconnects: bool = False  # the vehicle stops and asks again
    mended: bool = True  # by the operator, before the reset


def _cut(pack: EmulatedPack) -> None:
    pack.cut_links |= {0, 1}


def _flip(pack: EmulatedPack) -> None:
    pack.wire.append(Flip("chain", (37,)))


def _hold_current(pack: EmulatedPack) -> None:
    pack.codes.append(Hold("current_ampere"))


def _lift_a_cell(pack: EmulatedPack) -> None:
    pack.codes.append(Add("cell", 6000.0, (0, 3)))  # 0.6 V above what it is


_ROWS: Final = (
    Mishap("interlock", "a connector is pulled: the interlock opens", Damage(interlock_open=True)),
    Mishap("insulation", "a wet cable: insulation falls to 2 kΩ", Damage(insulation_ohm=2_000.0)),
    Mishap("gas", "a cell vents into the housing", Damage(gas_per_second=0.002)),
    Mishap("chain", "two links of the monitor chain break", strike=_cut),
    Mishap("noise", "a bit flips in every frame of the monitor chain", strike=_flip),
    Mishap("cell_reading", "the converter of one cell reads 0.6 V too much", strike=_lift_a_cell),
    Mishap("frozen_current", "the current sensor's converter stops", strike=_hold_current),
    Mishap("overload", "the load draws 6C whatever it is allowed", overload_rate=6.0),
    Mishap("master", "the vehicle falls silent", asked=None),
    Mishap(
        "weld",
        "the plus contactor welds, found when the vehicle stops",
        Damage(welded=frozenset({"plus"})),
        asked=Request.STANDBY,
        mended=False,
    ),
    Mishap(
        "precharge",
        "the precharge resistor burns out, found when the vehicle starts again",
        Damage(precharge_ohm=1e9),
        reconnects=True,
    ),
)

MISHAPS: Final = MappingProxyType({row.name: row for row in _ROWS})


def mishap_named(name: str) -> Mishap:
    """The mishap of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in MISHAPS:
        raise UsageError(
            f"no mishap is called {name!r}", hint=f"Use one of {', '.join(sorted(MISHAPS))}."
        )
    return MISHAPS[name]
