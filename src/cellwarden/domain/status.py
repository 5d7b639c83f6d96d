"""How a controlled pack stands, as it is shown to whoever looks: its mode, and why it is so."""

from dataclasses import dataclass

__all__ = ["Moved", "PackStatus", "ShownTrouble"]


@dataclass(frozen=True, slots=True)
class ShownTrouble:
    """A trouble with its evidence; `reaction` in words, no number where there is none."""

    name: str
    reaction: str
    since_unix_time_second: float
    value: float | None
    limit: float | None
    item: int = -1
    latched: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """One change of mode, and why."""

    unix_time_second: float
    source: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class PackStatus:
    """The newest word of a pack's control; `moves` are those since the word before.

    Currents are what the pack may be given and asked for now, `charge_by` and `discharge_by` the
    rules that hold them there, `waits_for` why it does not do what it is asked for, `pack` the name
    of the pack that has answered as the paired one.
    """

    unix_time_second: float
    mode: str
    plus_closed: bool
    minus_closed: bool
    precharge_closed: bool
    charge_ampere: float | None
    discharge_ampere: float | None
    charge_by: tuple[str, ...] = ()
    discharge_by: tuple[str, ...] = ()
    waits_for: str = ""
    cooling_fraction: float | None = 0.0
    balancing_count: int = 0
    balanced_in_second: float | None = None
    authenticity: str = ""
    pack: str = ""
    low_soc_fraction: float | None = None
    high_soc_fraction: float | None = None
    first_trouble: str = ""
    troubles: tuple[ShownTrouble, ...] = ()
    moves: tuple[Moved, ...] = ()
