"""Our SunSpec server against our own client and against SunSpec's reference client."""

import ssl
import time
from collections.abc import Iterator

import numpy as np
import pytest
from pymodbus.client import ModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from cellwarden.domain import CLOSED, Allowance, Command, Diagnosis, Reaction, Trouble
from cellwarden.edge.drivers import Layout, PolledDriver
from cellwarden.edge.drivers.modbus import ModbusLine, SunSpecProbe
from cellwarden.edge.outputs.modbus import SunSpecServer
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import DecodeError, UnavailableError, UnitError, UsageError
from cellwarden.trust.identity import Identity
from cellwarden.trust.tls import client_context, server_context
from edge.carried import frame, pack
from trust.making import authority, certify

LAYOUT = Layout(14, 2)


def view(**changed: object) -> PackView:
    told: dict[str, object] = {
        "pack": pack(),
        "frame": frame(),
        "state": "connected",
        "allowance": Allowance(60.0, 120.0, 3000.0, 6000.0),
        "command": Command(CLOSED, 60.0, 120.0),
        "soc_fraction": 0.5,
    }
    return PackView(**{**told, **changed})  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[SunSpecServer]:
    made = SunSpecServer(pack(), port=0)
    made.show(view())
    yield made
    made.close()


def test_our_client_reads_what_our_server_shows(server: SunSpecServer) -> None:
    with ModbusLine("127.0.0.1", server.port) as line:
        got = SunSpecProbe(line, LAYOUT, "charge").sample()
    shown = frame()
    assert got.current_ampere == pytest.approx(shown.current_ampere)
    assert got.cell_voltage_volt == pytest.approx(shown.cell_voltage_volt)
    assert got.cell_temperature_celsius == pytest.approx(shown.cell_temperature_celsius)


def test_sunspecs_own_client_reads_the_same(server: SunSpecServer) -> None:
    alarm = Trouble("x", Reaction.OPEN, 0.0, 0.0, 0.0)
    server.show(view(diagnosis=Diagnosis((alarm,)), event_names={"x": "GROUND_FAULT"}))
    device = SunSpecModbusClientDeviceTCP(ipaddr="127.0.0.1", ipport=server.port, timeout=3)
    try:
        device.scan()
        bank, string = device.models[802][0], device.models[803][0]
        module, common = device.models[805][0], device.models[1][0]
        assert bank.A.cvalue == pytest.approx(12.3)
        assert bank.V.cvalue == pytest.approx(51.23)
        assert bank.SoC.cvalue == pytest.approx(50.0)
        assert bank.SoH.value is None, "not implemented"
        assert bank.Evt1.value == 1 << 22
        assert bank.AChaMax.cvalue == pytest.approx(60.0)
        assert string.groups["string"][0].StrA.cvalue == (pytest.approx(12.3))
        cells = module.groups["lithium-ion-module-cell"]
        assert [cell.CellV.cvalue for cell in cells] == pytest.approx(
            list(frame().cell_voltage_volt)
        )
        assert cells[0].CellTmp.value is None
        assert (common.Mn.value, common.SN.value) == ("Cellwarden", "rack-1")
    finally:
        device.close()


def test_every_write_is_refused(server: SunSpecServer) -> None:
    client = ModbusTcpClient("127.0.0.1", port=server.port)
    try:
        assert client.connect()
        for address in (40070, 40123, 40000):
            assert client.write_register(address, 1).isError()
            assert client.write_registers(address, [1, 2]).isError()
        assert client.read_holding_registers(40000, count=2).registers == [0x5375, 0x6E53]
        assert client.read_holding_registers(44000, count=2).isError()
        assert client.read_coils(40000, count=2).isError()
    finally:
        client.close()


def test_a_pack_that_is_no_longer_shown_is_busy_and_not_old() -> None:
    now = [0.0]
    server = SunSpecServer(pack(), port=0, stale_second=5.0, clock=lambda: now[0])
    try:
        with ModbusLine("127.0.0.1", server.port) as line:
            probe = SunSpecProbe(line, LAYOUT, "charge")
            with pytest.raises(UnavailableError, match="cannot answer now"):
                probe.sample()
            server.show(view())
            assert np.isfinite(probe.sample().voltage_volt)
            now[0] = 6.0
            with pytest.raises(UnavailableError):
                probe.sample()
    finally:
        server.close()


def test_a_battery_that_is_gone_gives_gaps_and_comes_back() -> None:
    server = SunSpecServer(pack(), port=0)
    server.show(view())
    port = server.port
    with ModbusLine("127.0.0.1", port, timeout_second=1.0) as line:
        driver = PolledDriver(SunSpecProbe(line, LAYOUT, "charge"), period_second=0.0)
        first = driver.read(1)
        server.close()
        gone = driver.read(1)
        again = SunSpecServer(pack(), port=port)
        try:
            again.show(view())
            back = driver.read(2)
        finally:
            again.close()
    assert first is not None
    assert gone is not None
    assert back is not None
    assert np.isnan(gone.voltage_volt).all()
    assert back.voltage_volt[-1] == pytest.approx(51.23)


def test_the_sign_must_be_said_and_must_agree_with_what_the_battery_says(
    server: SunSpecServer,
) -> None:
    with pytest.raises(UsageError, match="is not said"):
        SunSpecProbe(ModbusLine("127.0.0.1"), LAYOUT, "")  # type: ignore[arg-type]
    with ModbusLine("127.0.0.1", server.port) as line:
        with pytest.raises(UnitError, match="positive charges"):
            SunSpecProbe(line, LAYOUT, "discharge").sample()
        server.show(view(frame=frame(current_ampere=-12.3)))
        assert SunSpecProbe(line, LAYOUT, "charge").sample().current_ampere < 0


def test_a_map_that_changes_is_looked_for_anew(server: SunSpecServer) -> None:
    with ModbusLine("127.0.0.1", server.port) as line:
        probe = SunSpecProbe(line, LAYOUT, "charge")
        probe.sample()
        server.show(view(frame=frame(cell_voltage_volt=np.full(20, 3.7)), pack=pack(20)))
        with pytest.raises(DecodeError):
            probe.sample()
        probe.layout = Layout(20, 2)
        assert len(probe.sample().cell_voltage_volt) == 20


@pytest.mark.parametrize("sensors", [1, 3, 13])
def test_a_number_of_sensors_that_sunspec_cannot_tell_is_refused(sensors: int) -> None:
    with pytest.raises(UsageError, match="0, 2 or 14"):
        SunSpecProbe(ModbusLine("127.0.0.1"), Layout(14, sensors), "charge")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.invalid"])  # noqa: S104  refused
def test_plain_modbus_stays_on_this_machine_unless_said(host: str) -> None:
    with pytest.raises(UsageError, match="would show the pack to anybody"):
        SunSpecServer(pack(), host=host)


def test_a_port_that_is_taken_is_unavailable(server: SunSpecServer) -> None:
    with pytest.raises(UnavailableError, match="cannot serve"):
        SunSpecServer(pack(), port=server.port)


@pytest.fixture(scope="module")
def contexts() -> dict[str, ssl.SSLContext]:
    ours, theirs, now = authority(), authority("Another"), time.time()
    server = certify(ours, Identity("server", "rack"), at=now)
    device = certify(ours, Identity("device", "meter"), at=now)
    foreign = certify(theirs, Identity("device", "meter"), at=now)
    return {
        "server": server_context(
            server.certificate, server.key, ours.certificate, clients_must_prove=True
        ),
        "client": client_context(device.certificate, device.key, ours.certificate),
        "foreign": client_context(foreign.certificate, foreign.key, ours.certificate),
        "server as client": client_context(server.certificate, server.key, ours.certificate),
        "doubting": client_context(device.certificate, device.key, theirs.certificate),
    }


@pytest.fixture
def secured(contexts: dict[str, ssl.SSLContext]) -> Iterator[SunSpecServer]:
    made = SunSpecServer(pack(), port=0, context=contexts["server"])
    made.show(view())
    yield made
    made.close()


def test_both_sides_prove_themselves_over_tls(
    secured: SunSpecServer, contexts: dict[str, ssl.SSLContext]
) -> None:
    for host in ("127.0.0.1", "localhost"):
        with ModbusLine(host, secured.port, context=contexts["client"]) as line:
            shown = SunSpecProbe(line, LAYOUT, "charge").sample()
            assert shown.current_ampere == pytest.approx(12.3)


@pytest.mark.parametrize("who", ["foreign", "doubting", "server as client", None])
def test_a_stranger_sees_nothing_over_tls(
    secured: SunSpecServer, contexts: dict[str, ssl.SSLContext], who: str | None
) -> None:
    context = contexts[who] if who else None
    with (
        ModbusLine("127.0.0.1", secured.port, context=context, timeout_second=1.0) as line,
        pytest.raises(UnavailableError),
    ):
        SunSpecProbe(line, LAYOUT, "charge").sample()
