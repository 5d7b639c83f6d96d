"""What a column's label says: which field of `Series` it is and in which unit.

Rules
- A unit stands after ` / `, in brackets, after `/`, or as the last word; it must fit the field.
- A unit that does not fit (`mAh/g` for a charge) makes the label foreign; nothing is assumed.
- Where several labels fit one field, the one named first in `_NAMES` wins.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["DIRECTION", "FIELDS", "Label", "Unit", "read_label", "unit_of"]

FIELDS: Final = (
    "test_time_second",
    "unix_time_second",
    "voltage_volt",
    "current_ampere",
    "surface_temperature_celsius",
    "ambient_temperature_celsius",
    "cycle_count",
    "step_index",
    "charging_capacity_ah",
    "discharging_capacity_ah",
    "step_count",
    "charging_energy_wh",
    "discharging_energy_wh",
    "internal_resistance_ohm",
)
# Not a field: a tester's word for charge, discharge or rest, from which a sign may be told.
DIRECTION: Final = "direction"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a file: multiply by `factor`, then add `offset`, to get the field's own."""

    name: str
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """A label understood; `rank` orders rivals for one field, lowest first.

    `firm` says that the unit is stated as such, not only meant by a word like "Volts".
    """

    field: str
    unit: Unit | None
    rank: int
    firm: bool = True


_SI: Final = {"u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_SECONDS: Final = (
    ("µs", 1e-6, "us microsecond microseconds"),
    ("ms", 1e-3, "ms msec millisecond milliseconds"),
    ("s", 1.0, "s sec secs second seconds"),
    ("min", 60.0, "min mins minute minutes"),
    ("h", 3600.0, "h hr hrs hour hours"),
    ("d", 86400.0, "d day days"),
)


def _prefixed(symbol: str, spellings: str) -> dict[str, Unit]:
    return {
        prefix + spelling: Unit(prefix.replace("u", "µ") + symbol, factor)
        for prefix, factor in _SI.items()
        for spelling in spellings.split()
    }


_TIME: Final = {
    name: Unit(symbol, factor) for symbol, factor, names in _SECONDS for name in names.split()
}
_CLOCK_FACE: Final = {
    name: Unit("h:m:s") for name in ("hms", "hhmmss", "hmins", "hmmss", "hoursinhhmmssxxx")
}
_CHARGE: Final = _prefixed("Ah", "ah amphr amphour amperehour") | {
    name: Unit("A s", 1 / 3600) for name in ("as", "c", "coulomb")
}
_ENERGY: Final = _prefixed("Wh", "wh watthr watthour") | {
    name: Unit("J", 1 / 3600) for name in ("j", "joule", "ws")
}
_RESISTANCE: Final = _prefixed("Ω", "ohm ohms")
_TEMPERATURE: Final = {
    **{name: Unit("°C") for name in ("c", "degc", "celsius", "cel", "degreecelsius")},
    **{name: Unit("K", 1.0, -273.15) for name in ("k", "kelvin")},
    **{name: Unit("°F", 5 / 9, -160 / 9) for name in ("f", "degf", "fahrenheit")},
}
_COUNT: Final = {name: Unit("1") for name in ("1", "dimensionless")}
_UNITS: Final = MappingProxyType(
    {
        "test_time_second": _TIME | _CLOCK_FACE,
        "unix_time_second": _TIME,
        "voltage_volt": _prefixed("V", "v volt volts") | {"millivolt": Unit("mV", 1e-3)},
        "current_ampere": _prefixed("A", "a amp amps ampere amperes")
        | {"milliampere": Unit("mA", 1e-3)},
        "surface_temperature_celsius": _TEMPERATURE,
        "ambient_temperature_celsius": _TEMPERATURE,
        "cycle_count": _COUNT,
        "step_index": _COUNT,
        "charging_capacity_ah": _CHARGE,
        "discharging_capacity_ah": _CHARGE,
        "step_count": _COUNT,
        "charging_energy_wh": _ENERGY,
        "discharging_energy_wh": _ENERGY,
        "internal_resistance_ohm": _RESISTANCE,
        DIRECTION: {},
    }
)
# Letters and digits of a label without its unit, the surest spelling first.
_NAMES: Final = MappingProxyType(
    {
        "test_time_second": "testtime totaltime cumulativetime progtime programtime runtime"
        " elapsedtime experimenttime test time t",
        "unix_time_second": "unixtime datetime dateandtime datetimeisostring dpttime absolutetime"
        " timestamp realtime systemtime date",
        "voltage_volt": "voltage cellvoltage terminalvoltage batteryvoltage ecell ewe potential"
        " vcell packvoltage u v",
        "current_ampere": "current cellcurrent batterycurrent packcurrent i",
        "surface_temperature_celsius": "surfacetemperature celltemperature temperaturet1"
        " surfacetemperaturet1 batterytemperature batterytemp packtemperature"
        " temperature temperature1 temp temp1 auxtemperature1 t1 t",
        "ambient_temperature_celsius": "ambienttemperature chambertemperature"
        " environmenttemperature stationtemperature ambienttemp chambertemp ambient",
        "cycle_count": "cyclecount cycleindex cyclenumber cyclec cyccount cycle cyc",
        "step_index": "stepid stepindex stepnumber step ns line",
        "charging_capacity_ah": "chargingcapacity chargecapacity chgcap cyclechargingcapacity"
        " schedulechargingcapacity stepchargingcapacity qcharge",
        "discharging_capacity_ah": "dischargingcapacity dischargecapacity dchgcap"
        " cycledischargingcapacity scheduledischargingcapacity stepdischargingcapacity"
        " qdischarge",
        "step_count": "stepcount steptotal",
        "charging_energy_wh": "chargingenergy chargeenergy chgenergy cyclechargingenergy"
        " schedulechargingenergy stepchargingenergy",
        "discharging_energy_wh": "dischargingenergy dischargeenergy dchgenergy"
        " cycledischargingenergy scheduledischargingenergy stepdischargingenergy",
        "internal_resistance_ohm": "internalresistance dcinternalresistance internalresistance1"
        " rdc",
        DIRECTION: "state md steptype stepname status mode",
    }
)
# Labels that are nothing but a unit, or hide it within.
_BARE: Final = MappingProxyType(
    {
        "seconds": ("test_time_second", "s"),
        "volts": ("voltage_volt", "v"),
        "mvolts": ("voltage_volt", "mv"),
        "amps": ("current_ampere", "a"),
        "mamps": ("current_ampere", "ma"),
        "ahcyccharge": ("charging_capacity_ah", "ah"),
        "ahcycdischarge": ("discharging_capacity_ah", "ah"),
        "whcyccharge": ("charging_energy_wh", "wh"),
        "whcycdischarge": ("discharging_energy_wh", "wh"),
    }
)
_NEEDS_UNIT: Final = frozenset({"t", "ambient", "test"})  # too short to mean one thing alone
_SPLITS: Final = (
    re.compile(r"^(?P<base>.+?) / (?P<unit>\S+)$"),
    re.compile(r"^(?P<base>.*?)\s*[(\[](?P<unit>[^)\]]*)[)\]]\s*$"),
    re.compile(r"^(?P<base>.+)/(?P<unit>[^/\s]+)$"),
    re.compile(r"^(?P<base>.+)[_ ](?P<unit>[^_ ]+)$"),
)


def _letters(text: str) -> str:
    plain = text.replace("µ", "u").replace("μ", "u").replace("Ω", "ohm").replace("\u2126", "ohm")
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def unit_of(field: str, spelling: str) -> Unit | None:
    """The unit a spelling means for a field, or None where it means none."""
    return _UNITS[field].get(_letters(spelling))


def _readings(text: str) -> Iterator[tuple[str, str]]:
    """Ways to take a label apart, the surest first."""
    for index, split in enumerate(_SPLITS):
        found = split.match(text)
        if found:
            yield _letters(found["base"]), found["unit"]
            # A unit in brackets is stated: a foreign one must not be talked away.
            if index == 1 and _letters(found["unit"]):
                return
    yield _letters(text), ""


def _named(base: str, unit: str) -> Label | None:
    for field, names in _NAMES.items():
        ranks = names.split()
        if base not in ranks:
            continue
        found = unit_of(field, unit) if unit else None
        if (unit and found is None) or (not unit and base in _NEEDS_UNIT):
            continue
        return Label(field, found, ranks.index(base), firm=found is not None)
    return None


def read_label(text: str) -> Label | None:
    """The field and unit that a label names, or None where it names none we know."""
    clean = text.strip().strip("\ufeff~\"'").strip()
    bare = _BARE.get(_letters(clean))
    if bare is not None:
        return Label(bare[0], unit_of(*bare), 0, firm=False)
    for base, unit in _readings(clean):
        found = _named(base, unit)
        if found is not None:
            return found
    return None
