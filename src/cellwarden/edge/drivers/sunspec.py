"""SunSpec's battery models 802, 803 and 805 as tables of fields, and the map that holds them.

Rules
- Names are those of the models. A number's power of ten stands in its own register.
- "Not implemented" (all ones; for signed numbers the lowest) is NaN.
- The models leave the sign of current and power open. Our server means: positive charges.
- Percent is turned into a fraction here, at the border.

Source: SunSpec Alliance, Information Model Reference, models 1, 802, 803, 805 (sunspec/models,
Apache-2.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cellwarden.domain.units import QUANTITIES
from cellwarden.edge.drivers.field import Field, Kind, decode
from cellwarden.errors import DecodeError

__all__ = [
    "BANK",
    "BASE_ADDRESSES",
    "CELL",
    "COMMON_BYTES",
    "END",
    "IDENTIFIER",
    "LITHIUM_BANK",
    "MODULE",
    "STRING",
    "Model",
    "Table",
    "read_model",
]

BASE_ADDRESSES: Final = (40000, 0, 50000)
IDENTIFIER: Final = b"SunS"
COMMON_BYTES: Final = 2 * 68
END: Final = 0xFFFF
_HEAD_BYTES: Final = 4  # identifier and length of a model
_KINDS: Final[Mapping[str, tuple[Kind, int | None]]] = MappingProxyType(
    {
        "u16": ("u16", 0xFFFF),
        "s16": ("s16", -0x8000),
        "u32": ("u32", 0xFFFFFFFF),
        "enum": ("u16", 0xFFFF),
        "bits": ("u32", 0xFFFFFFFF),
        "sf": ("s16", -0x8000),
        "pad": ("u16", 0x8000),
    }
)
_TEXT_BYTES: Final = 32
_AMPERE: Final = QUANTITIES["current_ampere"]
_CELL: Final = QUANTITIES["cell_voltage_volt"]
_HEAT: Final = QUANTITIES["cell_temperature_celsius"]
_RANGES: Final = (  # what a name contains, and the range that such a number has anywhere
    ("SoC", 0.0, 1.0),
    ("DoD", 0.0, 1.0),
    ("SoH", 0.0, 1.5),
    ("CellV", 0.0, _CELL.high),
    ("Tmp", _HEAT.low, _HEAT.high),
    ("StrV", 0.0, QUANTITIES["voltage_volt"].high),
)
_EXACT: Final = MappingProxyType(
    {
        "V": (0.0, QUANTITIES["voltage_volt"].high),
        "A": (_AMPERE.low, _AMPERE.high),
        "StrA": (_AMPERE.low, _AMPERE.high),
        "ChaSt": (1.0, 7.0),
    }
)


@dataclass(frozen=True, slots=True)
class Table:
    """The points of one group and the bytes that they take."""

    fields: tuple[Field, ...]
    size: int


def _table(*lines: str) -> Table:
    """Points in order, each `name:type` or `name:type:exponent`."""
    fields, start = [], 0
    for word in " ".join(lines).split():
        name, kind, *exponent = word.split(":")
        if kind == "str":
            start += _TEXT_BYTES
            continue
        fields.append(_point(name, start, kind, exponent[0] if exponent else ""))
        start += fields[-1].size
    return Table(tuple(fields), start)


def _point(name: str, start: int, kind: str, exponent: str) -> Field:
    coded, missing = _KINDS[kind]
    low, high = float("-inf"), float("inf")
    if kind == "sf":
        low, high = -10.0, 10.0
    elif name in _EXACT:
        low, high = _EXACT[name]
    elif exponent:
        low, high = next(((a, b) for part, a, b in _RANGES if part in name), (low, high))
    percent = exponent in {"SoC_SF", "DoD_SF", "SoH_SF", "DisChaRte_SF"}
    return Field(
        name,
        start,
        coded,
        0.01 if percent else 1.0,
        missing=missing,
        low=low,
        high=high,
        exponent=exponent,
    )


BANK: Final = _table(
    "ID:u16 L:u16 AHRtg:u16:AHRtg_SF WHRtg:u16:WHRtg_SF WChaRteMax:u16:WChaDisChaMax_SF",
    "WDisChaRteMax:u16:WChaDisChaMax_SF DisChaRte:u16:DisChaRte_SF SoCMax:u16:SoC_SF",
    "SoCMin:u16:SoC_SF SocRsvMax:u16:SoC_SF SoCRsvMin:u16:SoC_SF SoC:u16:SoC_SF",
    "DoD:u16:DoD_SF SoH:u16:SoH_SF NCyc:u32 ChaSt:enum LocRemCtl:enum Hb:u16 CtrlHb:u16",
    "AlmRst:u16 Typ:enum State:enum StateVnd:enum WarrDt:u32 Evt1:bits Evt2:bits EvtVnd1:bits",
    "EvtVnd2:bits V:u16:V_SF VMax:u16:V_SF VMin:u16:V_SF CellVMax:u16:CellV_SF",
    "CellVMaxStr:u16 CellVMaxMod:u16 CellVMin:u16:CellV_SF CellVMinStr:u16 CellVMinMod:u16",
    "CellVAvg:u16:CellV_SF A:s16:A_SF AChaMax:u16:AMax_SF ADisChaMax:u16:AMax_SF W:s16:W_SF",
    "ReqInvState:enum ReqW:s16:W_SF SetOp:enum SetInvState:enum AHRtg_SF:sf WHRtg_SF:sf",
    "WChaDisChaMax_SF:sf DisChaRte_SF:sf SoC_SF:sf DoD_SF:sf SoH_SF:sf V_SF:sf CellV_SF:sf",
    "A_SF:sf AMax_SF:sf W_SF:sf",
)
LITHIUM_BANK: Final = _table(
    "ID:u16 L:u16 NStr:u16 NStrCon:u16 ModTmpMax:s16:ModTmp_SF ModTmpMaxStr:u16",
    "ModTmpMaxMod:u16 ModTmpMin:s16:ModTmp_SF ModTmpMinStr:u16 ModTmpMinMod:u16",
    "ModTmpAvg:s16:ModTmp_SF StrVMax:u16:V_SF StrVMaxStr:u16 StrVMin:u16:V_SF StrVMinStr:u16",
    "StrVAvg:u16:V_SF StrAMax:s16:A_SF StrAMaxStr:u16 StrAMin:s16:A_SF StrAMinStr:u16",
    "StrAAvg:s16:A_SF NCellBal:u16 CellV_SF:sf ModTmp_SF:sf A_SF:sf SoH_SF:sf SoC_SF:sf",
    "V_SF:sf",
)
STRING: Final = _table(
    "StrNMod:u16 StrSt:bits StrConFail:enum StrSoC:u16:SoC_SF StrSoH:u16:SoH_SF StrA:s16:A_SF",
    "StrCellVMax:u16:CellV_SF StrCellVMaxMod:u16 StrCellVMin:u16:CellV_SF StrCellVMinMod:u16",
    "StrCellVAvg:u16:CellV_SF StrModTmpMax:s16:ModTmp_SF StrModTmpMaxMod:u16",
    "StrModTmpMin:s16:ModTmp_SF StrModTmpMinMod:u16 StrModTmpAvg:s16:ModTmp_SF StrDisRsn:enum",
    "StrConSt:bits StrEvt1:bits StrEvt2:bits StrEvtVnd1:bits StrEvtVnd2:bits StrSetEna:enum",
    "StrSetCon:enum Pad1:pad Pad2:pad",
)
MODULE: Final = _table(
    "ID:u16 L:u16 StrIdx:u16 ModIdx:u16 NCell:u16 SoC:u16:SoC_SF DoD:u16:DoD_SF",
    "SoH:u16:SoH_SF NCyc:u32 V:u16:V_SF CellVMax:u16:CellV_SF CellVMaxCell:u16",
    "CellVMin:u16:CellV_SF CellVMinCell:u16 CellVAvg:u16:CellV_SF CellTmpMax:s16:Tmp_SF",
    "CellTmpMaxCell:u16 CellTmpMin:s16:Tmp_SF CellTmpMinCell:u16 CellTmpAvg:s16:Tmp_SF",
    "NCellBal:u16 SN:str SoC_SF:sf SoH_SF:sf DoD_SF:sf V_SF:sf CellV_SF:sf Tmp_SF:sf",
)
CELL: Final = _table("CellV:u16:CellV_SF CellTmp:s16:Tmp_SF CellSt:bits")
_LAYOUTS: Final = MappingProxyType(
    {802: (BANK, None), 803: (LITHIUM_BANK, STRING), 805: (MODULE, CELL)}
)


@dataclass(frozen=True, slots=True)
class Model:
    """One model as it was read: its fixed points, and its groups."""

    number: int
    values: dict[str, float]
    groups: tuple[dict[str, float], ...]


def read_model(number: int, data: bytes) -> Model:
    """A model from the bytes of its registers, identifier and length included.

    Raises:
        DecodeError: they are not this model.
        RangeError: a number in it cannot be true.
    """
    fixed, repeated = _LAYOUTS[number]
    values = decode(fixed.fields, data)
    rest = len(data) - fixed.size
    whole = rest >= 0 and (rest % repeated.size == 0 if repeated else rest == 0)
    if not whole or values["ID"] != number or 2 * values["L"] != len(data) - _HEAD_BYTES:
        raise DecodeError(
            f"these registers are not SunSpec model {number}",
            hint="The device has changed its map; connect again.",
        )
    groups = []
    for start in range(fixed.size, len(data), repeated.size if repeated else 1):
        if repeated:
            part = data[start : start + repeated.size]
            groups.append(decode(repeated.fields, part, values))
    return Model(number, values, tuple(groups))
