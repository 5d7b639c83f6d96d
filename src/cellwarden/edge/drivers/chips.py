"""The monitor chips of an emulated pack: they convert, count and answer as the real ones do."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Int64

from cellwarden.edge.drivers import register
from cellwarden.errors import DecodeError

__all__ = ["Chips"]

_SLOTS: Final = register.VALUES_PER_GROUP
_WIDEST: Final = 18
_FULL: Final = 65_535


class Chips:
    """All chips of one chain; the one next to the controller watches the lowest cells."""

    def __init__(self, cell_counts: Sequence[int], sensor_counts: Sequence[int]) -> None:
        self._count = len(cell_counts)
        self._used = np.arange(_WIDEST)[None, :] < np.array(cell_counts)[:, None]
        self._fitted = np.arange(9)[None, :] < np.array(sensor_counts)[:, None]
        self._shown = {
            name: self._blank(width) for name, width in (("cell", 18), ("sensor", 9), ("status", 3))
        }
        self._held = {name: grid.copy() for name, grid in self._shown.items()}
        self._open = np.zeros((self._count, _WIDEST + 1), dtype=bool)
        self._counter = np.zeros((2, self._count), dtype=np.int64)
        self._bleeding = np.zeros((self._count, _WIDEST), dtype=bool)

    def _blank(self, width: int) -> Int64[np.ndarray, "chip value"]:
        return np.zeros((self._count, width), dtype=np.int64)

    @property
    def bleeding(self) -> Bool[np.ndarray, " cell"]:
        """Which bleeders are on, in order of the string."""
        return self._bleeding[self._used]

    def cells(self, values: np.ndarray) -> np.ndarray:
        """Values of the cells, a row a chip."""
        grid = np.zeros((self._count, _WIDEST), dtype=values.dtype)
        grid[self._used] = values
        return grid

    def sensors(self, values: np.ndarray) -> np.ndarray:
        """Values of the sensors, a row a chip."""
        grid = np.zeros((self._count, 9), dtype=values.dtype)
        grid[self._fitted] = values
        return grid

    def show(
        self,
        cell: np.ndarray,
        sensor: np.ndarray,
        reference: np.ndarray,
        open_wire: np.ndarray,
    ) -> None:
        """What lies at the inputs from now on."""
        self._shown["cell"] = cell
        self._shown["sensor"][:, : sensor.shape[1]] = sensor
        self._shown["status"][:, 0] = reference
        self._open[:, : open_wire.shape[1]] = open_wire

    def answer(self, request: bytes, port: int, cut_links: Collection[int]) -> bytes:
        """What comes back at a port; nothing for a command that no frame follows.

        A cut link `k` lies before chip `k`; chips behind it neither hear nor are heard.
        """
        order = self._reached(port, cut_links)
        try:
            code, data = register.parse_command(request)
        except DecodeError:
            return b""
        if code in register.READS:
            heard = self._frames(code, order, port)
            silent = (self._count - len(order)) * register.FRAME_BYTES
            return heard + b"\xff" * silent
        self._obey(code, data, order, port)
        return b""

    def _reached(self, port: int, cut_links: Collection[int]) -> list[int]:
        """Chips that a port reaches, the nearest first."""
        if port == 0:
            return list(range(min((k for k in cut_links if k >= 0), default=self._count)))
        first = max((k for k in cut_links if k < self._count), default=0)
        return list(range(self._count - 1, first - 1, -1))

    def _frames(self, code: int, order: list[int], port: int) -> bytes:
        if not order:
            return b""
        if code in register.CELL_GROUPS:
            name, group = "cell", register.CELL_GROUPS.index(code)
        elif code in register.SENSOR_GROUPS:
            name, group = "sensor", register.SENSOR_GROUPS.index(code)
        else:
            name, group = "status", 0
        values = self._held[name][order, group * _SLOTS : (group + 1) * _SLOTS]
        return register.frames(
            code, values.astype(np.uint16), self._counter[port, order], port
        ).tobytes()

    def _obey(self, code: int, data: list[bytes], order: list[int], port: int) -> None:
        if code == register.RESET_COUNTER:
            self._counter[port, order] = 0
            return
        if code not in register.COUNTED or (
            code == register.CONFIGURE and len(data) != self._count
        ):
            return
        self._counter[port, order] = register.after_counts(self._counter[port, order], 1)
        if code == register.CONFIGURE:
            for chip, part in zip(order, data, strict=False):
                bits = np.unpackbits(np.frombuffer(part, dtype=np.uint8), bitorder="little")
                self._bleeding[chip] = bits[:_WIDEST].astype(bool) & self._used[chip]
            return
        name = {register.ADAX: "sensor", register.ADSTAT: "status"}.get(code, "cell")
        self._held[name][order] = self._converted(name, code)[order]

    def _converted(self, name: str, code: int) -> np.ndarray:
        if code == register.CVST:
            return np.full_like(self._shown["cell"], register.SELF_TEST_CODE)
        shown = self._shown[name]
        if name != "cell" or not self._open.any():
            return shown
        return _with_open_wires(shown, self._open, self._used, code)


def _with_open_wires(
    shown: np.ndarray, open_wire: np.ndarray, used: np.ndarray, code: int
) -> np.ndarray:
    """A loose sense wire goes where its input is pulled, or floats between its neighbours."""
    read = shown.copy()
    for chip, wire in np.argwhere(open_wire):
        below = shown[chip, wire - 1] if wire > 0 else 0
        above = shown[chip, wire] if wire < _WIDEST and used[chip, wire] else 0
        both = below + above
        rise = {register.ADOW_UP: both, register.ADOW_DOWN: 0}.get(code, both // 2)
        if wire > 0:
            read[chip, wire - 1] = min(rise, _FULL)
        if wire < _WIDEST and used[chip, wire]:
            read[chip, wire] = min(both - rise, _FULL)
    return read
