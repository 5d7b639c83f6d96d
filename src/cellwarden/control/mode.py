"""The state machine of a pack as one table: what each mode does on each event.

Rules
- Every mode has an entry for every event; a mode named in its own column stays.
- A cycle has one event: the first of the list that is there, so the list is the priority.
- `ERROR` and `STANDBY` are entered from `OPENING` alone, and whoever enters `OPENING` says where it
  is bound for. Contactors are driven closed in `PRECHARGE` and `CONNECTED` only, and while
  `OPENING` waits for the current to fall.
- Charging is no mode: it is `CONNECTED` with a charger.

After the manner of h11's `_state.py`: the table is the machine, and the diagram of the manual is
drawn from it (`control.diagram`).
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["CLOSED_MODES", "TABLE", "Event", "Mode", "Target"]


class Mode(StrEnum):
    """What the pack is about."""

    INIT = "init"  # waits for the first complete reading
    SELF_TEST = "self_test"  # memory, sensors, monitors, welded contactors
    STANDBY = "standby"  # awake, contactors open
    PRECHARGE = "precharge"  # minus, precharge, wait, plus, precharge off
    CONNECTED = "connected"  # serves a load or a charger
    BALANCING = "balancing"  # contactors open, cells are levelled
    OPENING = "opening"  # current down, contactors open, checked that they are
    ERROR = "error"  # contactors open until an operator has seen to it
    SERVICE = "service"  # contactors open for a technician


class Event(StrEnum):
    """What a cycle can bring, the most urgent first."""

    DANGER = "danger"  # the delay of a fault that opens has run out
    WELDED = "welded"  # a contactor that should be open is not
    LATE = "late"  # a contactor that should be closed is not
    OVERDUE = "overdue"  # no complete reading, a self-test that fails, a fault from before
    SPENT = "spent"  # the last precharge that was allowed has failed
    FAILED = "failed"  # this precharge has failed, others may follow
    DONE = "done"  # what the mode waits for is there
    CLEARED = "cleared"  # reset, then asked for standby, and nothing fatal is left
    LOST = "lost"  # nobody has asked for anything for too long
    FORBIDDEN = "forbidden"  # asked to close, and it may not close now
    ASK_STANDBY = "ask_standby"
    ASK_CONNECT = "ask_connect"
    ASK_CHARGE = "ask_charge"
    ASK_BALANCE = "ask_balance"
    ASK_SERVICE = "ask_service"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an event leads: a mode, or None for where `OPENING` is bound for.

    `bound_for` is where `OPENING`, entered so, will go.
    """

    mode: Mode | None
    bound_for: Mode | None = None


CLOSED_MODES: Final = frozenset({Mode.PRECHARGE, Mode.CONNECTED, Mode.OPENING})

_I, _T, _S, _P, _C, _B, _O, _E, _V = (Target(mode) for mode in Mode)
_OE = Target(Mode.OPENING, Mode.ERROR)
_OS = Target(Mode.OPENING, Mode.STANDBY)
_GO = Target(None)

# One line an event, one column a mode, in the order of `Mode`.
_ROWS: Final = (
    #                  init test stby prec conn bal  open err  service
    (Event.DANGER, (_OE, _OE, _OE, _OE, _OE, _OE, _OE, _E, _OE)),
    (Event.WELDED, (_OE, _OE, _OE, _OE, _OE, _OE, _OE, _E, _OE)),
    (Event.LATE, (_I, _T, _S, _OE, _OE, _B, _O, _E, _V)),
    (Event.OVERDUE, (_OE, _OE, _S, _P, _C, _B, _O, _E, _V)),
    (Event.SPENT, (_I, _T, _S, _OE, _C, _B, _O, _E, _V)),
    (Event.FAILED, (_I, _T, _S, _OS, _C, _B, _O, _E, _V)),
    (Event.DONE, (_T, _OS, _S, _C, _C, _B, _GO, _E, _V)),
    (Event.CLEARED, (_I, _T, _S, _P, _C, _B, _O, _T, _V)),
    (Event.LOST, (_I, _T, _S, _OS, _OS, _OS, _O, _E, _V)),
    (Event.FORBIDDEN, (_I, _T, _S, _OS, _C, _OS, _O, _E, _V)),
    (Event.ASK_STANDBY, (_I, _T, _S, _OS, _OS, _OS, _O, _E, _OS)),
    (Event.ASK_CONNECT, (_I, _T, _P, _P, _C, _OS, _O, _E, _V)),
    (Event.ASK_CHARGE, (_I, _T, _P, _P, _C, _OS, _O, _E, _V)),
    (Event.ASK_BALANCE, (_I, _T, _B, _OS, _OS, _B, _O, _E, _V)),
    (Event.ASK_SERVICE, (_I, _T, _V, _OS, _OS, _OS, _O, _E, _V)),
    (Event.NONE, (_I, _T, _S, _P, _C, _B, _O, _E, _V)),
)

TABLE: Final = MappingProxyType(
    {
        (mode, event): target
        for event, targets in _ROWS
        for mode, target in zip(Mode, targets, strict=True)
    }
)
