"""A pack in Home Assistant, found by itself: MQTT discovery with availability and expiry.

Rules
- One configuration topic for each metric, retained, so that a restarted Home Assistant knows it.
- All values stand in one JSON message, not retained: an old value is never shown as a new one. A
  missing number is null, which Home Assistant shows as unknown.
- `expire_after` makes a silent pack unavailable, and the will does so for a lost connection.
- Positive current and power charge; percent is for the screen only.

Source: Home Assistant, "MQTT" (discovery, availability) and "MQTT Sensor".
"""

import re
from typing import Any, Final

import msgspec

from cellwarden.edge.outputs.metrics import Metric, metrics_of, values_of
from cellwarden.edge.outputs.publication import Publication
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import UsageError

__all__ = ["HomeAssistantProfile"]

_EXPIRE_SECOND: Final = 30
_STATUS: Final = "homeassistant/status"
_ONLINE, _OFFLINE = b"online", b"offline"
_MEASURED: Final = "measurement"


class HomeAssistantProfile:
    """Sensors of one pack under one device."""

    def __init__(self, node: str, *, expire_second: int = _EXPIRE_SECOND) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", node):
            raise UsageError(
                f"Home Assistant takes no device named {node!r}",
                hint="Use letters, digits, dashes and underscores alone.",
            )
        self._node = node
        self._expire_second = expire_second
        self._configured = 0
        self._last: PackView | None = None

    def open(self, now: float) -> Publication:
        """Offline, to be the broker's will."""
        del now
        self._configured = 0
        return Publication(self._availability(), _OFFLINE, qos=1, retain=True)

    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Home Assistant's own birth."""
        return ((_STATUS, 0),)

    def begin(self, view: PackView | None, now: float) -> list[Publication]:
        """Online, and the configuration once the pack is known."""
        online = Publication(self._availability(), _ONLINE, qos=1, retain=True)
        view = view or self._last
        return [online, *(self.show(view, now) if view is not None else [])]

    def show(self, view: PackView, now: float, *, historical: bool = False) -> list[Publication]:
        """All values; history is not Home Assistant's business."""
        del now
        if historical:
            return []
        self._last = view
        table = metrics_of(len(view.frame.cell_voltage_volt))
        out = []
        if len(table) != self._configured:
            self._configured = len(table)
            out = [self._configuration(view, row) for row in table]
        values: dict[str, Any] = {}
        for row, value in zip(table, values_of(view), strict=True):
            values[row.name] = value * row.factor if isinstance(value, float) else value
        return [*out, Publication(self._state(view), msgspec.json.encode(values))]

    def hear(self, topic: str, payload: bytes, now: float) -> list[Publication]:
        """Tell everything again when Home Assistant has started."""
        if topic != _STATUS or payload != _ONLINE:
            return []
        self._configured = 0
        return self.begin(None, now)

    def end(self, now: float) -> list[Publication]:
        """Offline."""
        del now
        return [Publication(self._availability(), _OFFLINE, qos=1, retain=True)]

    def _configuration(self, view: PackView, row: Metric) -> Publication:
        pack = view.pack.name
        binary = row.name == "contactors_closed"
        told: dict[str, Any] = {
            "name": row.title,
            "unique_id": f"cellwarden_{self._node}_{pack}_{row.name}",
            "state_topic": self._state(view),
            "value_template": f"{{{{ value_json.{row.name} }}}}",
            "availability_topic": self._availability(),
            "expire_after": self._expire_second,
            "device": {
                "identifiers": [f"cellwarden_{self._node}_{pack}"],
                "name": pack,
                "manufacturer": "Cellwarden",
                "model": f"{view.pack.series_count} cells {view.pack.cell.chemistry.name}",
            },
            "origin": {"name": "Cellwarden"},
        }
        if binary:
            told |= {"payload_on": "True", "payload_off": "False"}
        if row.unit:
            unit = row.shown_unit or row.unit
            told |= {"unit_of_measurement": unit, "state_class": _MEASURED}
        if row.device_class:
            told["device_class"] = row.device_class
        kind = "binary_sensor" if binary else "sensor"
        item = re.sub(r"[^A-Za-z0-9_-]", "_", f"{pack}_{row.name}")
        topic = f"homeassistant/{kind}/{self._node}/{item}/config"
        return Publication(topic, msgspec.json.encode(told), qos=1, retain=True)

    def _availability(self) -> str:
        return f"cellwarden/{self._node}/availability"

    def _state(self, view: PackView) -> str:
        return f"cellwarden/{self._node}/{view.pack.name}/state"
