"""A pack as a Sparkplug B edge node: births, data, deaths, and rebirth when a host asks.

Rules
- Topics `spBv1.0/GROUP/TYPE/NODE[/DEVICE]`; births and data with QoS 0, the will with QoS 1, none
  retained; the session is clean.
- NBIRTH begins every session with `seq` 0; each message after it counts up, 255 is followed by 0.
- `bdSeq` is the same in the will and in the births of a connection, and one more in the next.
- Names and aliases stand in births, aliases alone in data; data tell what has changed.
- A missing number is `is_null`; what could not be told in time is `is_historical`. How history is
  told stands in `_metric` alone, because version 4 will change it.
- Sparkplug by itself delivers nothing for sure: what must not be lost goes to the hub, sealed.

Source: Eclipse Sparkplug 3.0.0, chapters 4 to 6.
"""

from collections.abc import Callable, Iterable
from typing import Final

from cellwarden.edge.outputs import protobuf as pb
from cellwarden.edge.outputs.metrics import Metric, Value, metrics_of, values_of
from cellwarden.edge.outputs.publication import Publication
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import DecodeError, UsageError

__all__ = ["REBIRTH", "SparkplugProfile", "rebirth_asked"]

REBIRTH: Final = "Node Control/Rebirth"
_BD_SEQ: Final = "bdSeq"
_NAMESPACE: Final = "spBv1.0"
_INT64, _DOUBLE, _BOOLEAN, _STRING = 4, 10, 11, 12
_WRAP: Final = 256
_UNIT: Final = "engUnit"


class SparkplugProfile:
    """One edge node with one device, the pack."""

    def __init__(
        self,
        group: str,
        node: str,
        bd_sequence: int = 0,
        keep: Callable[[int], None] = lambda _next: None,
    ) -> None:
        """Begin with the `bdSeq` of the next connection; `keep` hears the one after it.

        Raises:
            UsageError: a name that cannot stand in a topic.
        """
        for name in (group, node):
            if not name or set(name) & set("+/#"):
                raise UsageError(f"{name!r} cannot stand in a topic", hint="Leave out + / #.")
        self._group, self._node = group, node
        self._bd_sequence = self._next_bd_sequence = bd_sequence % _WRAP
        self._keep = keep
        self._sequence = 0
        self._born: tuple[Metric, ...] = ()
        self._told: tuple[Value, ...] = ()
        self._last: PackView | None = None

    def open(self, now: float) -> Publication:
        """NDEATH, to be the broker's will."""
        del now
        self._bd_sequence = self._next_bd_sequence
        self._next_bd_sequence = (self._bd_sequence + 1) % _WRAP
        self._keep(self._next_bd_sequence)
        self._born = ()
        return self._death()

    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Commands for this node."""
        return ((self._topic("NCMD"), 1),)

    def begin(self, view: PackView | None, now: float) -> list[Publication]:
        """NBIRTH, and DBIRTH once the pack is known."""
        self._sequence = 0
        own = (
            self._metric(_BD_SEQ, None, _INT64, self._bd_sequence, now),
            self._metric(REBIRTH, None, _BOOLEAN, False, now),  # noqa: FBT003  a metric's value
        )
        births = [self._message(self._topic("NBIRTH"), own, now)]
        view = view or self._last
        if view is not None:
            births.append(self._device_birth(view, now))
        return births

    def show(self, view: PackView, now: float, *, historical: bool = False) -> list[Publication]:
        """DDATA with what has changed; DBIRTH for a pack that is new or has other cells."""
        table = metrics_of(len(view.frame.cell_voltage_volt))
        if len(table) != len(self._born):
            return [self._device_birth(view, now)]
        values = values_of(view)
        changed = [
            self._metric("", alias, _type(row, value), value, _time(view), historical=historical)
            for alias, (row, value) in enumerate(zip(table, values, strict=True), 1)
            if historical or value != self._told[alias - 1]
        ]
        if not historical:
            self._told, self._last = values, view
        if not changed:
            return []
        return [self._message(self._topic("DDATA", view.pack.name), changed, now)]

    def hear(self, topic: str, payload: bytes, now: float) -> list[Publication]:
        """Births anew when a host asks for them; nothing else can be commanded here."""
        if topic != self._topic("NCMD") or not rebirth_asked(payload):
            return []
        return self.begin(None, now)

    def end(self, now: float) -> list[Publication]:
        """NDEATH: a closed connection does not send the will."""
        del now
        return [self._death()]

    def _device_birth(self, view: PackView, now: float) -> Publication:
        self._born = metrics_of(len(view.frame.cell_voltage_volt))
        self._told, self._last = values_of(view), view
        rows = [
            self._metric(row.name, alias, _type(row, value), value, _time(view), unit=row.unit)
            for alias, (row, value) in enumerate(zip(self._born, self._told, strict=True), 1)
        ]
        return self._message(self._topic("DBIRTH", view.pack.name), rows, now)

    def _death(self) -> Publication:
        metric = self._metric(_BD_SEQ, None, _INT64, self._bd_sequence, None)
        return Publication(self._topic("NDEATH"), pb.bytes_field(2, metric), qos=1)

    def _message(self, topic: str, metrics: Iterable[bytes], now: float) -> Publication:
        sequence, self._sequence = self._sequence, (self._sequence + 1) % _WRAP
        payload = pb.whole_field(1, round(1000 * now))
        payload += b"".join(pb.bytes_field(2, metric) for metric in metrics)
        return Publication(topic, payload + pb.whole_field(3, sequence))

    def _topic(self, kind: str, device: str = "") -> str:
        end = f"/{device}" if device else ""
        return f"{_NAMESPACE}/{self._group}/{kind}/{self._node}{end}"

    @staticmethod
    def _metric(
        name: str,
        alias: int | None,
        kind: int,
        value: Value,
        unix_time_second: float | None,
        *,
        unit: str = "",
        historical: bool = False,
    ) -> bytes:
        """One metric. The only place that knows how history is told."""
        out = pb.text_field(1, name) if name else b""
        if alias is not None:
            out += pb.whole_field(2, alias)
        if unix_time_second is not None:
            out += pb.whole_field(3, round(1000 * unix_time_second))
        out += pb.whole_field(4, kind)
        if historical:
            out += pb.boolean_field(5, value=True)
        if value is None:
            out += pb.boolean_field(7, value=True)
        if unit:
            text = pb.whole_field(1, _STRING) + pb.text_field(8, unit)
            out += pb.bytes_field(9, pb.text_field(1, _UNIT) + pb.bytes_field(2, text))
        match value:
            case None:
                return out
            case bool():
                return out + pb.boolean_field(14, value)
            case str():
                return out + pb.text_field(15, value)
            case int():
                return out + pb.whole_field(11, value)
            case _:
                return out + pb.double_field(13, value)


def rebirth_asked(payload: bytes) -> bool:
    """Whether a command asks for births.

    Raises:
        DecodeError: it is no Sparkplug payload.
    """
    for number, metric in pb.parse_fields(payload):
        if number != 2:  # noqa: PLR2004  metrics
            continue
        if not isinstance(metric, bytes):
            raise DecodeError("not a Sparkplug payload", hint="Check who commands this node.")
        fields = dict(pb.parse_fields(metric))
        if fields.get(1) == REBIRTH.encode() and fields.get(14) == 1:
            return True
    return False


def _type(row: Metric, value: Value) -> int:
    """The data type of a row, which does not change when its value is missing."""
    if row.unit or row.name.endswith("_count"):
        return _DOUBLE
    return _BOOLEAN if isinstance(value, bool) else _STRING


def _time(view: PackView) -> float:
    return view.frame.unix_time_second
