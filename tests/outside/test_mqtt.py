"""A device tells a real broker of its pack, with the lines that docs/drivers.md gives for it."""

import getpass
import json
import queue
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cellwarden.edge.connection import device_context
from cellwarden.edge.outputs.mqtt import MqttOutput
from cellwarden.edge.outputs.sparkplug import REBIRTH, SparkplugProfile
from cellwarden.edge.outputs.view import PackView
from cellwarden.edge.source import Source
from cellwarden.trust.identity import Identity
from cellwarden.trust.tls import client_context
from edge.carried import frame, pack
from edge.outputs.sparkplug_payload import read, write
from journeys.system import System, free_port, wait_for
from trust.making import authority, certify

pytestmark = pytest.mark.outside
NODE = "spBv1.0/plant/{}/box"


def mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not on this machine; `apt-get install mosquitto` brings it")
    return found


def printed(number: int) -> str:
    """A block of settings as the page prints it."""
    page = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()
    return re.findall(r"```conf\n(.*?)```", page, re.DOTALL)[number]


@dataclass
class Broker:
    """A broker that can be stopped and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        lines = printed(0).replace("FOLDER", str(self.folder))
        lines = lines.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        (self.folder / "acl").write_text(printed(1))
        (self.folder / "acl").chmod(0o600)
        config = self.folder / "mosquitto.conf"
        config.write_text(f"user {getpass.getuser()}\n{lines}")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([mosquitto(), "-c", config], stdout=log, stderr=log)
        wait_for(lambda: "running" in (self.folder / "log").read_text(), "the broker", 20)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None
        (self.folder / "log").unlink(missing_ok=True)


@dataclass
class Host:
    """Somebody who looks on, and may ask for births."""

    port: int
    context: ssl.SSLContext
    heard: "queue.Queue[mqtt.MQTTMessage]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="host")
        self.client.tls_set_context(self.context)
        self.client.on_message = lambda _c, _d, message: self.heard.put(message)
        listening = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: listening.set()
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert listening.wait(20)

    def wait(self, topic: str, second: float = 30.0) -> mqtt.MQTTMessage:
        """The next message on a topic."""
        end = time.monotonic() + second
        while True:
            left = end - time.monotonic()
            assert left > 0, f"nothing was said on {topic}"
            try:
                message = self.heard.get(timeout=left)
            except queue.Empty:
                continue
            if message.topic == topic:
                return message

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Site:
    """An installation with a broker."""

    system: System
    broker: Broker

    def context(self, name: str) -> ssl.SSLContext:
        return device_context(self.system.home.device(name))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Made by the commands that a person would give."""
    mosquitto()
    system = System(tmp_path_factory.mktemp("site"))
    told = system.cli("certify", "broker", "--host", "127.0.0.1", "--host", "localhost")
    assert told.returncode == 0, told.stderr
    port = free_port()
    for name in ("host", "box", "shed"):
        system.enrol(name)
    site = Site(system, Broker(system.home.path / "servers" / "broker", port))
    yield site
    system.close()


@pytest.fixture
def site(installed: Site) -> Iterator[Site]:
    installed.broker.start()
    yield installed
    installed.broker.stop()


@pytest.fixture
def host(site: Site) -> Iterator[Host]:
    made = Host(site.broker.port, site.context("host"))
    yield made
    made.close()


def bd_sequence(payload: bytes) -> int:
    return next(int(m.long_value) for m in read(payload).metrics if m.name == "bdSeq")


def view(**changed: object) -> PackView:
    return PackView(pack(), frame(**changed), soc_fraction=0.5)


def test_a_device_is_born_tells_is_killed_and_the_broker_says_so(site: Site, host: Host) -> None:
    now = time.time()
    source = Source(
        twin={"name": "box", "series_count": 3, "start_unix_time_second": now - 20.0},
        batch_frames=1,
        live=True,
    )
    site.system.reads("box", source)
    folder = site.system.home.device("box")
    lines = f'host = "127.0.0.1"\nport = {site.broker.port}\n'
    (folder / "outputs.toml").write_text(
        f'[[sparkplug]]\n{lines}group = "plant"\n\n[[home_assistant]]\n{lines}'
        f"\n[[sunspec]]\nport = {free_port()}\n"
    )
    edge = site.system.edge("box")
    try:
        node = host.wait(NODE.format("NBIRTH"))
        device = host.wait(NODE.format("DBIRTH") + "/box")
        told = read(host.wait(NODE.format("DDATA") + "/box").payload)
    finally:
        edge.kill()
    names = {metric.name for metric in read(device.payload).metrics}
    assert {"current_ampere", "soc_fraction", "cell_3_voltage_volt"} <= names
    assert told.metrics, edge.said()
    assert not any(metric.is_historical for metric in told.metrics)
    death = host.wait(NODE.format("NDEATH"))
    assert bd_sequence(death.payload) == bd_sequence(node.payload)
    before = bd_sequence(node.payload)
    edge = site.system.edge("box")
    try:
        again = host.wait(NODE.format("NBIRTH"))
        assert bd_sequence(again.payload) == before + 1, "kept over a restart"
    finally:
        edge.kill()


def test_home_assistant_finds_a_pack_and_loses_it(site: Site, host: Host) -> None:
    folder = site.system.home.device("shed")
    source = Source(
        twin={"name": "shed", "series_count": 3, "start_unix_time_second": time.time() - 20.0},
        batch_frames=1,
        live=True,
    )
    site.system.reads("shed", source)
    (folder / "outputs.toml").write_text(
        f'[[home_assistant]]\nhost = "127.0.0.1"\nport = {site.broker.port}\n'
    )
    edge = site.system.edge("shed")
    try:
        config = host.wait("homeassistant/sensor/shed/shed_voltage_volt/config")
        told: dict[str, Any] = json.loads(config.payload)
        state = json.loads(host.wait(told["state_topic"]).payload)
        assert 6.0 < state["voltage_volt"] < 13.0
        late = Host(site.broker.port, site.context("host"))
        try:
            kept = late.wait("homeassistant/sensor/shed/shed_voltage_volt/config")
            assert kept.retain, "the broker keeps it for who comes later"
            assert late.wait(told["availability_topic"]).payload == b"online"
        finally:
            late.close()
    finally:
        edge.kill()
    end = time.monotonic() + 30
    while host.wait(told["availability_topic"]).payload != b"offline":
        assert time.monotonic() < end


def test_a_host_asks_for_births_and_gets_them(site: Site, host: Host) -> None:
    output = MqttOutput(
        SparkplugProfile("plant", "box"),
        "127.0.0.1",
        site.broker.port,
        client="box",
        context=site.context("box"),
    )
    try:
        output.show(view())
        first = host.wait(NODE.format("NBIRTH"))
        host.wait(NODE.format("DBIRTH") + "/rack-1")
        asked = write(name=REBIRTH, datatype=11, boolean_value=True)
        host.client.publish(NODE.format("NCMD"), asked, 1)
        again = host.wait(NODE.format("NBIRTH"))
        assert bd_sequence(first.payload) == bd_sequence(again.payload)
        host.client.publish(NODE.format("NCMD"), b"\xff\xff", 1)
        wait_for(lambda: output.refused_count, "the broken command to be refused", 10)
        assert output.trouble == ""
    finally:
        output.close()
    assert host.wait(NODE.format("NDEATH")).payload


def test_what_could_not_be_told_is_told_as_history(site: Site) -> None:
    host = Host(site.broker.port, site.context("host"))
    output = MqttOutput(
        SparkplugProfile("plant", "box"),
        "127.0.0.1",
        site.broker.port,
        client="box",
        context=site.context("box"),
    )
    try:
        output.show(view())
        first = bd_sequence(host.wait(NODE.format("NBIRTH")).payload)
        site.broker.stop()
        wait_for(lambda: output.trouble, "the broker to be missed", 20)
        for step in range(3):
            output.show(view(current_ampere=1.0 + step, unix_time_second=2e9 + step))
        host.close()
        tried = output.failed_count
        wait_for(
            lambda: output.failed_count > tried, "a try in vain", 40
        )  # the next is not at once
        site.broker.start()
        host = Host(site.broker.port, site.context("host"))
        second = bd_sequence(host.wait(NODE.format("NBIRTH"), 60).payload)
        assert second > first, "every connection has a number of its own"
        born = read(host.wait(NODE.format("DBIRTH") + "/rack-1").payload)
        current = next(m for m in born.metrics if m.name == "current_ampere")
        assert current.double_value == 3.0
        for step in range(2):
            told = read(host.wait(NODE.format("DDATA") + "/rack-1").payload)
            row = next(m for m in told.metrics if m.alias == current.alias)
            assert row.is_historical
            assert (row.double_value, row.timestamp) == (1.0 + step, round(1000 * (2e9 + step)))
    finally:
        output.close()
        host.close()


def refusal_of(site: Site, context: ssl.SSLContext | None, second: float = 20.0) -> str:
    output = MqttOutput(
        SparkplugProfile("plant", "box"),
        "127.0.0.1",
        site.broker.port,
        client="stranger",
        context=context,
    )
    try:
        output.show(view())
        wait_for(lambda: output.trouble != "not connected yet", "an answer", second)
        return output.trouble
    finally:
        output.close()


# paho leaves the socket of a handshake that failed to the collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_strangers_do_not_get_in_and_a_strange_broker_gets_nothing(site: Site, host: Host) -> None:
    ours, theirs = site.system.home.authority(), authority("Another", time.time())
    foreign = certify(theirs, Identity("device", "box"), at=time.time())
    known = certify(ours, Identity("device", "box"), at=time.time())
    assert refusal_of(site, client_context(foreign.certificate, foreign.key, ours.certificate))
    assert refusal_of(site, client_context(known.certificate, known.key, theirs.certificate))
    assert refusal_of(site, None)
    with pytest.raises(AssertionError, match="nothing was said"):
        host.wait(NODE.format("NBIRTH"), 1.0)


def test_a_device_cannot_speak_for_another(site: Site, host: Host) -> None:
    other = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="box")
    other.tls_set_context(site.context("box"))
    other.connect("127.0.0.1", site.broker.port)
    other.loop_start()
    try:
        other.publish("homeassistant/sensor/neighbour/x/config", b"{}", 1).wait_for_publish(10)
        other.publish("spBv1.0/plant/NBIRTH/neighbour", b"forged", 1).wait_for_publish(10)
        other.publish("spBv1.0/plant/NDATA/box", b"own", 1).wait_for_publish(10)
        assert host.wait("spBv1.0/plant/NDATA/box").payload == b"own"
        with pytest.raises(AssertionError, match="nothing was said"):
            host.wait("spBv1.0/plant/NBIRTH/neighbour", 1.0)
    finally:
        other.disconnect()
        other.loop_stop()
