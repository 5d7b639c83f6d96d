"""What a device shows and to whom, as it stands in `outputs.toml` in its folder.

Every connection that can be secured is, unless `plain = true` says otherwise.
"""

import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from cellwarden.domain import (
    Diagnosis,
    Finding,
    Frame,
    Frames,
    Pack,
    Reaction,
    Severity,
    Trouble,
)
from cellwarden.edge.connection import CanBusSource, device_context, needing_field
from cellwarden.edge.outputs.publication import MqttProfile
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import Error, UsageError
from cellwarden.trust.identity import load_certificate, load_key
from cellwarden.trust.keys import write_durably
from cellwarden.trust.tls import server_context

__all__ = [
    "CanTold",
    "MqttTold",
    "Output",
    "Outputs",
    "OutputsConfig",
    "SunSpecTold",
    "open_outputs",
    "read_outputs",
]

_LEAST_STALE_SECOND: Final = 5.0
_LEAST_EXPIRE_SECOND: Final = 30
_STALE_PERIODS: Final = 3.0
_REACTIONS: Final = {
    Severity.INFO: Reaction.RECORD,
    Severity.WARNING: Reaction.WARN,
    Severity.ALARM: Reaction.FORBID_CHARGE,
}


class Output(Protocol):
    """Somebody who is shown a pack."""

    def show(self, view: PackView) -> None:
        """Tell of this moment."""
        ...

    def close(self) -> None:
        """Stop telling."""
        ...


class SunSpecTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A SunSpec server; `certificate` is the folder that `cellwarden certify` made."""

    host: str = "127.0.0.1"
    port: int = 1502
    certificate: str = ""
    plain: bool = False


class MqttTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A broker; `group` is Sparkplug's."""

    host: str
    port: int = 8883
    group: str = "cellwarden"
    plain: bool = False


class CanTold(CanBusSource, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A CAN bus, and whose messages are sent there."""

    profile: Literal["cellwarden", "inverter"]


class OutputsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All who are shown the pack."""

    sunspec: list[SunSpecTold] = []
    sparkplug: list[MqttTold] = []
    home_assistant: list[MqttTold] = []
    can: list[CanTold] = []


@dataclass(slots=True)
class Outputs:
    """All outputs of a device; one that fails does not stop the others or the control."""

    pack: Pack | None
    outputs: list[Output]
    trouble: str = ""

    def show(self, view: PackView) -> None:
        """Tell all of this moment."""
        self.trouble = ""
        for output in self.outputs:
            try:
                output.show(view)
            except Error as error:
                self.trouble = str(error)

    def close(self) -> None:
        """Stop telling."""
        for output in self.outputs:
            output.close()

    def after(
        self, watch: Callable[[Frames, bytes], tuple[Frames, tuple[Finding, ...], bytes]]
    ) -> Callable[[Frames, bytes], tuple[Frames, tuple[Finding, ...], bytes]]:
        """The same watch, and what it makes of the last frame is shown."""
        pack = self.pack
        if pack is None or not self.outputs:
            return watch

        def watched(frames: Frames, state: bytes) -> tuple[Frames, tuple[Finding, ...], bytes]:
            frames, findings, state = watch(frames, state)
            self.show(_view(pack, frames, findings))
            return frames, findings, state

        return watched


def read_outputs(folder: Path) -> OutputsConfig:
    """What stands in `outputs.toml`; nothing where there is no such file.

    Raises:
        UsageError: a line of it is not understood.
    """
    path = folder / "outputs.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=OutputsConfig)
    except FileNotFoundError:
        return OutputsConfig()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="Mend that line of the file.") from error


def open_outputs(
    folder: Path, pack: Pack | None, node: str, *, period_second: float = 1.0
) -> Outputs:
    """Everybody who is shown the pack; `period_second` is how often there is something new.

    Raises:
        UsageError: the file does not fit, or a library is missing.
    """
    told = read_outputs(folder)
    named = [*told.sunspec, *told.sparkplug, *told.home_assistant, *told.can]
    if not named:
        return Outputs(pack, [])
    if pack is None:
        raise UsageError(
            "there is no pack to show", hint="Describe the pack, or remove outputs.toml."
        )
    opened = Outputs(pack, [])

    def open_all() -> None:
        for output in _open(folder, pack, node, told, period_second):
            opened.outputs.append(output)

    try:
        needing_field(open_all)
    except BaseException:
        opened.close()
        raise
    return opened


def _open(
    folder: Path, pack: Pack, node: str, told: OutputsConfig, period_second: float
) -> Iterator[Output]:
    from cellwarden.edge.drivers.can_bus import PythonCanBus  # noqa: PLC0415  an extra
    from cellwarden.edge.outputs.can_bus import CanOutput  # noqa: PLC0415  an extra
    from cellwarden.edge.outputs.home_assistant import HomeAssistantProfile  # noqa: PLC0415  too
    from cellwarden.edge.outputs.modbus import SunSpecServer  # noqa: PLC0415  an extra
    from cellwarden.edge.outputs.mqtt import MqttOutput  # noqa: PLC0415  an extra
    from cellwarden.edge.outputs.sparkplug import SparkplugProfile  # noqa: PLC0415  too

    def mqtt(profile: MqttProfile, broker: MqttTold, client: str) -> MqttOutput:
        return MqttOutput(
            profile,
            broker.host,
            broker.port,
            client=client,
            context=None if broker.plain else device_context(folder),
            allow_plain=broker.plain,
        )

    stale = max(_LEAST_STALE_SECOND, _STALE_PERIODS * period_second)
    for server in told.sunspec:
        yield SunSpecServer(
            pack,
            host=server.host,
            port=server.port,
            context=_server_context(server),
            allow_plain=server.plain,
            stale_second=stale,
        )
    for number, broker in enumerate(told.sparkplug):
        kept = folder / f"sparkplug-{number}"
        profile = SparkplugProfile(broker.group, node, _kept(kept), _keeper(kept))
        yield mqtt(profile, broker, f"{node}-sparkplug-{number}")
    expire = max(_LEAST_EXPIRE_SECOND, round(_STALE_PERIODS * period_second))
    for number, broker in enumerate(told.home_assistant):
        home = HomeAssistantProfile(node, expire_second=expire)
        yield mqtt(home, broker, f"{node}-home-{number}")
    for bus in told.can:
        wire = PythonCanBus(bus.interface, bus.channel, bitrate=bus.bitrate)
        yield CanOutput(wire, bus.profile)


def _server_context(told: SunSpecTold) -> ssl.SSLContext | None:
    if not told.certificate:
        return None
    folder = Path(told.certificate)
    try:
        return server_context(
            load_certificate((folder / "server.crt").read_bytes()),
            load_key((folder / "server.key").read_bytes()),
            load_certificate((folder / "ca.crt").read_bytes()),
            clients_must_prove=True,
        )
    except OSError as error:
        raise UsageError(
            f"{folder}: {error.strerror}", hint="Make it with `cellwarden certify`."
        ) from error


def _kept(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return 0


def _keeper(path: Path) -> Callable[[int], None]:
    return lambda following: write_durably(path, str(following).encode())


def _view(pack: Pack, frames: Frames, findings: tuple[Finding, ...]) -> PackView:
    def last(name: str) -> float:
        column = frames.columns().get(name)
        return float("nan") if column is None else float(column[-1])

    frame = Frame(
        float(frames.unix_time_second[-1]),
        last("voltage_volt"),
        last("current_ampere"),
        frames.cell_voltage_volt[-1],
        frames.cell_temperature_celsius[-1],
        last("ambient_temperature_celsius"),
        last("humidity_fraction"),
    )
    troubles = tuple(
        Trouble(
            finding.kind,
            _REACTIONS[finding.severity],
            finding.unix_time_second,
            float("nan"),
            float("nan"),
        )
        for finding in findings
    )
    return PackView(
        pack,
        frame,
        diagnosis=Diagnosis(troubles),
        soc_fraction=last("soc_fraction"),
        soc_std_fraction=last("soc_std_fraction"),
    )
