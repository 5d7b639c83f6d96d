"""The way to a broker: one connection a profile, in a thread of its own.

TLS 1.3 with our authority's certificates on both sides. Without TLS a broker must be on this
machine, or somebody must have said so in so many words.

Rules
- `show` never waits: the control cycle must not feel a broker. While the broker is away the last
  views are kept, the oldest are dropped and counted, and they are told as history afterwards.
- Every connection is a new one with a will of its own; pauses between tries grow to half a minute.
"""

import contextlib
import queue
import ssl
import threading
import time
from collections import deque
from typing import Any, Final

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cellwarden.edge.outputs.modbus import serves_loopback
from cellwarden.edge.outputs.publication import MqttProfile, Publication
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import DataError, UnavailableError, UsageError

__all__ = ["MqttOutput"]

_KEPT_VIEWS: Final = 600
_KEEPALIVE_SECOND: Final = 30
_TIMEOUT_SECOND: Final = 10.0
_LONGEST_PAUSE_SECOND: Final = 30.0
_PAUSE_SECOND: Final = 0.5
_TICK_SECOND: Final = 0.2
_HEARD_MESSAGES: Final = 256


class MqttOutput:
    """Tells a broker about a pack until it is closed."""

    def __init__(
        self,
        profile: MqttProfile,
        host: str,
        port: int = 8883,
        *,
        client: str = "",
        context: ssl.SSLContext | None = None,
        allow_plain: bool = False,
    ) -> None:
        """Begin to connect.

        Raises:
            UsageError: it would go over a network in plain text, and nobody said so.
        """
        if context is None and not (serves_loopback(host) or allow_plain):
            raise UsageError(
                f"MQTT to {host} without TLS can be read and forged by anybody on the way",
                hint="Use TLS, or say plain = true for a wire that nobody else is on.",
            )
        self._profile = profile
        self._address = (host, port)
        self._client_name = client
        self._context = context
        self._views: deque[PackView] = deque(maxlen=_KEPT_VIEWS)
        self._heard: queue.Queue[tuple[str, bytes]] = queue.Queue(_HEARD_MESSAGES)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self.dropped_count = 0
        self.refused_count = 0
        self.failed_count = 0
        self.trouble: str = "not connected yet"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, view: PackView) -> None:
        """Tell of a view as soon as the broker is there."""
        self.dropped_count += len(self._views) == _KEPT_VIEWS
        self._views.append(view)
        self._wake.set()

    def close(self) -> None:
        """Say goodbye and hang up."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_TIMEOUT_SECOND)

    def _run(self) -> None:
        pause = _PAUSE_SECOND
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._connection()
            except Exception as error:  # noqa: BLE001  told in `trouble`, and tried again
                self.trouble = str(error) or repr(error)
                self.failed_count += 1
                if time.monotonic() - began > _LONGEST_PAUSE_SECOND:
                    pause = _PAUSE_SECOND  # it had stood for a while
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECOND)

    def _connection(self) -> None:
        """One connection, from its will to its end."""
        ready, lost = threading.Event(), threading.Event()
        client = self._client(ready, lost)
        try:
            client.connect(*self._address, keepalive=_KEEPALIVE_SECOND)
            client.loop_start()
            if not ready.wait(_TIMEOUT_SECOND) or lost.is_set():
                raise UnavailableError(
                    f"the broker at {self._address[0]} does not let us in",
                    hint="Check the certificate and the broker's access list.",
                )
            for topic, qos in self._profile.subscriptions():
                client.subscribe(topic, qos)
            self.trouble = ""
            self._talk(client, lost)
            if lost.is_set():
                raise UnavailableError(
                    f"the broker at {self._address[0]} has hung up",
                    hint="It is tried again by itself.",
                )
            self._publish(client, self._profile.end(time.time()))
        finally:
            client.disconnect()
            client.loop_stop()

    def _client(self, ready: threading.Event, lost: threading.Event) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_name,
            clean_session=True,
            reconnect_on_failure=False,
        )
        if self._context is not None:
            client.tls_set_context(self._context)
        will = self._profile.open(time.time())
        client.will_set(will.topic, will.payload, will.qos, will.retain)

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _rest: Any) -> None:
            if reason.is_failure:
                lost.set()
            ready.set()

        def disconnected(*_: Any) -> None:
            lost.set()
            ready.set()
            self._wake.set()

        def message(_client: Any, _data: Any, heard: mqtt.MQTTMessage) -> None:
            with contextlib.suppress(queue.Full):  # who floods is not answered
                self._heard.put_nowait((heard.topic, bytes(heard.payload)))
            self._wake.set()

        client.on_connect = connected
        client.on_disconnect = disconnected
        client.on_message = message
        return client

    def _talk(self, client: mqtt.Client, lost: threading.Event) -> None:
        waiting = list(self._views)
        newest = waiting[-1] if waiting else None
        self._publish(client, self._profile.begin(newest, time.time()))
        for view in waiting[:-1]:
            self._publish(client, self._profile.show(view, time.time(), historical=True))
            self._drop(view)
        self._drop(newest)
        while not lost.is_set() and not self._closing.is_set():
            self._wake.wait(_TICK_SECOND)
            self._wake.clear()
            while not self._heard.empty():
                self._answer(client, *self._heard.get())
            while self._views:
                view = self._views[0]
                self._publish(client, self._profile.show(view, time.time()))
                self._drop(view)

    def _answer(self, client: mqtt.Client, topic: str, payload: bytes) -> None:
        try:
            self._publish(client, self._profile.hear(topic, payload, time.time()))
        except DataError:
            self.refused_count += 1

    def _drop(self, told: PackView | None) -> None:
        """Let go of a view that was told, unless newer ones have pushed it out already."""
        if self._views and self._views[0] is told:
            self._views.popleft()

    def _publish(self, client: mqtt.Client, publications: list[Publication]) -> None:
        for said in publications:
            sent = client.publish(said.topic, said.payload, said.qos, said.retain)
            if sent.rc != mqtt.MQTT_ERR_SUCCESS:
                raise UnavailableError(
                    f"the broker is gone: {mqtt.error_string(sent.rc)}",
                    hint="It is tried again by itself.",
                )
            if said.qos:
                sent.wait_for_publish(_TIMEOUT_SECOND)
