"""An invented fleet that speaks the hub's contract: well, faulty, stale, new and oddly named packs.

Every number is made from a seed and a time, so that a page can be looked at twice and compared.
"""

import base64
import hashlib
from typing import Any

import numpy as np

__all__ = ["DAY_SECOND", "LONG_NAME", "battery_record", "curves", "fleet", "signals", "trust"]

DAY_SECOND = 86_400
LONG_NAME = "depot-north.hall-2.rack-B.string-03.module-17.second-life-lot-A"

Json = dict[str, Any]

_NONE = "no charge has been recorded from below 3.7 V yet, and the estimate reads that stretch"
_FEW = "only 3 full charges were seen and the estimate needs 10"
_OUTSIDE = "the cells' temperature of 47.2 °C lies outside the 18 to 41 °C the model was fitted on"
_PASSED = "capacity has already fallen below 80 % of nominal, at cycle 97"
_SHORT = "fewer cells of this chemistry than the stated coverage needs reached the end of life"

# name, chemistry, cells in series, Ah, charge, health, half-width, life, finding, silent for (s)
_PACKS: tuple[tuple[Any, ...], ...] = (
    ("bus-0417", "NMC", 96, 156.0, 0.634, 0.942, 0.021, 1180.0, None, 4),
    ("bus-0418", "NMC", 96, 156.0, 0.581, 0.913, 0.018, 960.0, "rate", 6),
    ("bus-0423", "NMC", 96, 156.0, 0.127, 0.876, 0.024, 610.0, "spread", 3),
    ("cell-B0005", "NCA", 1, 2.0, 0.488, 0.714, 0.028, _PASSED, "hampel", 9),
    ("cell-CS2_35", "LCO", 1, 1.1, 0.951, 0.861, 0.019, 212.0, None, 11),
    (LONG_NAME, "LFP", 16, 280.0, 0.402, 0.823, 0.031, 148.0, "missing", 14),
    ("ferry-2.bank-A", "LFP", 240, 560.0, 0.771, 0.968, 0.016, 2310.0, None, 2),
    ("ferry-2.bank-B", "LFP", 240, 560.0, 0.768, _OUTSIDE, None, _OUTSIDE, "bounds", 2),
    ("home-storage-118", "LFP", 16, 100.0, 0.215, _FEW, None, _FEW, None, 21),
    ("new-pack-01", None, 14, None, None, _NONE, None, _NONE, None, 38),
    ("scooter-7712", "NMC", 13, 10.4, 0.897, 0.889, 0.026, _SHORT, "rate", 8),
    ("twin-drifting-cell", "NMC", 12, 5.0, 0.553, 0.904, 0.022, 540.0, "drift", 1),
    ("van-0231", "NMC", 102, 77.0, 0.316, 0.857, 0.023, 430.0, "silence", 11_580),
    ("van-0232", "NMC", 102, 77.0, 0.845, 0.931, 0.017, 890.0, None, 5),
)

# severity, signal, item, message, evidence
_FINDINGS: dict[str, tuple[str, str, int, str, Json]] = {
    "rate": ("INFO", "cell_temperature_celsius", 4,
             "sensor 4 rose 1.9 K in a minute while its neighbours did not move",
             {"value_celsius": 27.4, "neighbours_celsius": 25.6, "limit_celsius": 1.5}),
    "spread": ("WARNING", "cell_voltage_volt", 61,
               "cell 61 stands 74 mV under the median of its pack at rest",
               {"value_volt": 3.412, "median_volt": 3.486, "limit_volt": 0.05}),
    "hampel": ("WARNING", "voltage_volt", -1,
               "a sample lies 9.3 scaled deviations from the median of its neighbours",
               {"value_volt": 2.113, "median_volt": 3.604, "limit_volt": 0.48}),
    "missing": ("WARNING", "cell_temperature_celsius", 2,
                "sensor 2 repeated its reading to the bit for 41 minutes while others moved",
                {"value_celsius": 22.75, "sample_count": 2460}),
    "bounds": ("WARNING", "cell_temperature_celsius", 7, "sensor 7 is above its limit for charging",
               {"value_celsius": 47.2, "limit_celsius": 45.0}),
    "drift": ("ALARM", "innovation_volt", 7,
              ("cell 7's voltage has left what its model predicts: 18.4 deviations and growing"
              " since 14 minutes; an internal short cannot be excluded"),
              {"innovation_volt": -0.092, "limit_volt": 0.02, "innovation_std_volt": 0.005}),
    "silence": ("WARNING", "unix_time_second", -1,
                "nothing has been received for more than ten reporting intervals",
                {"silence_second": 11_580.0, "limit_second": 600.0}),
}  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _root(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _finding(kind: str, second: float, *, lasting: bool = True) -> Json:
    severity, signal, item, message, evidence = _FINDINGS[kind]
    return {
        "kind": kind, "severity": severity, "signal": signal, "item": item,
        "unix_time_second": second, "last_unix_time_second": second + 240, "open": lasting,
        "message": message, "evidence": evidence,
    }  # fmt: skip


def _health(soh: float | str, half: float | None, cycle_count: int) -> Json | None:
    if isinstance(soh, str) or half is None:
        return None
    low, high = soh - half, soh + half
    return {"soh_fraction": soh, "low": low, "high": high, "coverage": 0.9,
            "cycle_count": cycle_count}  # fmt: skip


def _life(cycles: float | str) -> Json | None:
    if isinstance(cycles, str):
        return None
    return {"life_cycle_count": cycles, "low": cycles * 0.72, "high": cycles * 1.41,
            "coverage": 0.9, "end_of_life_fraction": 0.8}  # fmt: skip


def _battery(index: int, now: float) -> Json:
    name, chemistry, series, ah, soc, soh, half, life, kind, silent = _PACKS[index]
    known = soc is not None
    cell = 3.28 if chemistry == "LFP" else 3.42 + 0.6 * (soc or 0.0)
    health = _health(soh, half, 180 + 31 * index)
    return {
        "device": name,
        "chemistry": chemistry,
        "series_count": series,
        "nominal_capacity_ah": ah,
        "last_seen_unix_time_second": now - silent,
        "last_sample_unix_time_second": now - silent - 0.7,
        "stale": silent > 600,
        "frame_count": 1_204_517 // (index + 1),
        "voltage_volt": round(cell * series, 3) if known else None,
        "current_ampere": round((-1) ** index * (ah or 0.0) * 0.21, 3) if known else None,
        "soc_fraction": soc,
        "soc_std_fraction": 0.007 + 0.002 * index if known else None,
        "cell_temperature_celsius": 47.2 if kind == "bounds" else 24.3 + index if known else None,
        "health": health,
        "health_reason": soh if isinstance(soh, str) else None,
        "life": _life(life),
        "life_reason": life if isinstance(life, str) else None,
        "worst_finding": _finding(kind, now - silent - 840) if kind else None,
        "finding_count": 3 + index if kind else 0,
        "open_finding_count": 1 if kind else 0,
        "receipt_id": _digest(name)[:20] if health else None,
        "pack_mode": _MODES.get(index),
    }


def fleet(now: float) -> Json:
    """The fleet as the hub tells it at a time."""
    return {
        "now_unix_time_second": now,
        "batteries": [_battery(index, now) for index in range(len(_PACKS))],
    }


def _explanation(soh: float) -> Json:
    features = {
        "charge_time_3v8_to_4v1_second": (2913.0, -0.031),
        "constant_voltage_charge_ah": (0.214, -0.0124),
        "incremental_capacity_peak_volt": (3.928, -0.0071),
        "relaxation_slope_volt": (0.0113, 0.0042),
        "surface_temperature_mean_celsius": (26.4, 0.0038),
        "charging_energy_wh": (6.91, -0.0026),
        "cycle_count": (211.0, -0.0019),
        "resistance_ohm": (0.0684, -0.0014),
        "surface_temperature_rise_celsius": (3.2, 0.0006),
        "current_ampere": (1.5, 0.0),
    }
    contributions = [pair[1] for pair in features.values()]
    return {
        "base": soh - sum(contributions),
        "features": list(features),
        "values": [pair[0] for pair in features.values()],
        "contributions": contributions,
    }


def _fade(battery: Json, rng: np.random.Generator) -> tuple[Json, Json | None]:
    health, life = battery["health"], battery["life"]
    names = ("cycle_count", "capacity_ah", "soh_fraction", "estimate", "low", "high")
    if health is None:
        return {name: [] for name in names}, None
    soh, last = health["soh_fraction"], health["cycle_count"]
    half = soh - health["low"]
    cycle = np.arange(1, last + 1, 3)
    truth = 1 - (1 - soh) * (cycle / last) ** 1.25
    truth = truth + 0.012 * np.exp(-((cycle % 61) / 9.0))  # capacity comes back after a rest
    estimate = truth + rng.normal(0, 0.0035, len(cycle))
    measured = [
        float(value) if index % 5 == 0 else None
        for index, value in enumerate(truth + rng.normal(0, 0.002, len(cycle)))
    ]
    nominal = battery["nominal_capacity_ah"]
    fade = {
        "cycle_count": cycle.tolist(),
        "capacity_ah": [None if value is None else value * nominal for value in measured],
        "soh_fraction": measured,
        "estimate": estimate.tolist(),
        "low": (estimate - half).tolist(),
        "high": (estimate + half).tolist(),
    }
    if life is None:
        return fade, None
    step = np.linspace(0, 1.15, 40)
    middle = soh - (soh - 0.8) * step**1.1
    spread = half * (1 + 1.6 * step)
    forecast = {
        "cycle_count": np.round(last + step * life["life_cycle_count"]).astype(int).tolist(),
        "soh_fraction": middle.tolist(),
        "low": (middle - spread).tolist(),
        "high": (middle + spread).tolist(),
    }
    return fade, forecast


_MODES = {0: "connected", 1: "error"}


def _pack(battery: Json, now: float) -> Json | None:
    """How a pack under control stands: one that drives, one that has opened for a fault."""
    if battery["pack_mode"] is None:
        return None
    bad = battery["pack_mode"] == "error"
    trouble = {"name": "cell_voltage_high_maximum", "reaction": "open", "item": 7, "latched": True,
               "since_unix_time_second": now - 95.0, "value": 4.262, "limit": 4.25}  # fmt: skip
    mild = {"name": "voltage_spread", "reaction": "warn", "item": 7, "latched": False,
            "since_unix_time_second": now - 400.0, "value": 0.041, "limit": 0.03}  # fmt: skip
    moves = [
        ("opening", "error", "cell_voltage_high_maximum"),
        ("connected", "opening", "cell_voltage_high_maximum"),
    ]
    usual = [("precharge", "connected", "link at pack voltage"), ("standby", "precharge", "asked")]
    return {
        "unix_time_second": now - 0.7, "mode": battery["pack_mode"],
        "plus_closed": not bad, "minus_closed": not bad, "precharge_closed": False,
        "charge_ampere": 0.0 if bad else 42.5, "discharge_ampere": 0.0 if bad else 180.0,
        "charge_by": ["open contactors"] if bad else ["cell voltage", "temperature"],
        "discharge_by": ["open contactors"] if bad else [],
        "waits_for": "an operator's reset" if bad else "", "cooling_fraction": 0.35,
        "balancing_count": 0 if bad else 3, "balanced_in_second": None if bad else 8200.0,
        "authenticity": "genuine", "pack": "P-2291",
        "low_soc_fraction": 0.05, "high_soc_fraction": 0.8,
        "first_trouble": trouble["name"] if bad else "", "troubles": [trouble, mild] if bad else [],
        "moves": [
            {"unix_time_second": now - 90.0 - 30.0 * k, "source": a, "target": b, "reason": why}
            for k, (a, b, why) in enumerate([*(moves if bad else []), *usual])
        ],
    }  # fmt: skip


def battery_record(battery: Json, now: float) -> Json:
    """All that the hub tells of one battery."""
    fade, forecast = _fade(battery, np.random.default_rng(7))
    worst = battery["worst_finding"]
    others = [
        _finding(("rate", "hampel", "missing")[index % 3], now - 5400 * (index + 1), lasting=False)
        for index in range(battery["finding_count"] - 1)
    ]
    health = battery["health"]
    return {
        "battery": battery,
        "explanation": _explanation(health["soh_fraction"]) if health else None,
        "fade": fade,
        "forecast": forecast,
        "findings": ([worst, *others] if worst else [])[:200],
        "model": {"name": "soh 0.1.0", "digest": "sha256:" + _digest("model")} if health else None,
        "pack": _pack(battery, now),
    }


def signals(battery: Json, start: float, stop: float, points: int) -> Json:
    """What the sensors of one battery said, with a stretch in which nothing came."""
    time = np.linspace(start, stop, points)
    phase = 2 * np.pi * (time % 21_600) / 21_600
    rng = np.random.default_rng(11)
    series, ah = battery["series_count"], battery["nominal_capacity_ah"] or 10.0
    current = ah * (0.3 * np.sin(phase) + 0.05 * np.sign(np.sin(9 * phase)))
    charge = 0.55 - 0.3 * np.cos(phase)
    cell = 3.45 + 0.55 * charge + 0.06 * np.sin(phase) + rng.normal(0, 0.0012, points)
    warm = 24 + 4 * np.sin(phase - 0.9) ** 2
    drift = 0.09 if worst_is_alarm(battery) else 0.012
    columns = {
        "voltage_volt": cell * series,
        "current_ampere": current,
        "cell_voltage_low_volt": cell - drift * np.linspace(0.1, 1, points),
        "cell_voltage_high_volt": cell + 0.008,
        "cell_temperature_low_celsius": warm - 1.4,
        "cell_temperature_high_celsius": warm + 1.9 + rng.normal(0, 0.06, points),
        "soc_fraction": charge,
    }
    silent = (np.arange(points) > points * 0.58) & (np.arange(points) < points * 0.62)
    if battery["voltage_volt"] is None:
        silent[:] = True
    rows = {
        name: [None if gap else float(value) for value, gap in zip(column, silent, strict=True)]
        for name, column in columns.items()
    }
    return {"unix_time_second": time.tolist(), **rows}


def curves(battery: Json, direction: str) -> Json:
    """Eight discharges or charges that shrink, or none of a battery without a voltage."""
    size = battery["nominal_capacity_ah"] or 10.0
    share = np.linspace(0, 1, 120)
    way = -1 if direction == "discharge" else 1
    grid = np.linspace(3.1, 4.15, 150)
    told = [
        {
            "cycle_count": 1 + 40 * number,
            "charge_ah": (size * (1 - 0.03 * number) * share).tolist(),
            "voltage_volt": (
                3.62 + way * 0.5 * (2 * share - 1) ** 3 + way * 0.02 * number
            ).tolist(),
            "slope_voltage_volt": grid.tolist(),
            "slope_ah_per_volt": (size * np.exp(-((grid - 3.6) ** 2) / 0.02)).tolist(),
        }
        for number in range(8)
    ]
    drawn = battery["voltage_volt"] is not None
    return {
        "direction": direction,
        "smoothed_volt": 0.05 if drawn else None,
        "curves": told if drawn else [],
    }


def worst_is_alarm(battery: Json) -> bool:
    """Whether somebody should look now."""
    worst = battery["worst_finding"]
    return worst is not None and worst["severity"] == "ALARM"


def _refused(now: float) -> list[Json]:
    rows = (
        ("SealError", "bus-0417", "10.20.4.17:51822",
         "the signature of batch 4,117 does not hold: one byte of the voltage column was changed"),
        ("ReplayError", "van-0231", "198.51.100.23:40112",
         "batch 2,201 was accepted before, on another connection"),
        ("IdentityError", "ferry-2.bank-A", "203.0.113.9:60001",
         "the certificate names scooter-7712, the batch ferry-2.bank-A"),
        ("IdentityError", '<img src=x onerror="alert(1)">' + "A" * 90, "203.0.113.9:60002",
         "the certificate was not issued by this hub"),
        ("ReplayError", "bus-0423", "10.20.4.23:50990",
         "batch 988 tells a second history: its predecessor's hash is not the one accepted"),
        ("DecodeError", "", "203.0.113.9:60004", "4,096 bytes that are not an envelope"),
    )  # fmt: skip
    return [
        {"unix_time_second": now - 61 * index - 20, "claimed_device": device, "peer": peer,
         "kind": kind, "message": message}
        for index, (kind, device, peer, message) in enumerate(rows * 4)
    ]  # fmt: skip


def trust(now: float) -> Json:
    """The ledger, who may report, and what was accepted and refused."""
    size = 48_213
    devices = [
        {
            "device": pack[0],
            "certificate_sha256": _digest(pack[0] + "certificate"),
            "not_after_unix_time_second": now + DAY_SECOND * (8 if index == 2 else 300 - index),
            "revoked": pack[0] == "scooter-7712",
            "boot": 3 + index,
            "sequence": 4_117 - 200 * index,
            "batch_count": 4_117 - 200 * index,
            "refused_count": 4 if index in {0, 2, 6, 12} else 0,
            "last_seen_unix_time_second": None if index == 9 else now - pack[9],
        }
        for index, pack in enumerate(_PACKS)
    ]
    accepted = [
        {
            "device": _PACKS[index % len(_PACKS)][0],
            "sequence": 4_117 - index,
            "leaf_index": size - 1 - index,
            "frame_count": 60,
            "value_count": 60 * 203,
            "received_unix_time_second": now - 4 * index,
        }
        for index in range(50)
    ]
    return {
        "ledger": {
            "origin": "hub.example/cellwarden",
            "tree_size": size,
            "root": _root("tree"),
            "key": "hub.example/cellwarden+7b1c3f09+" + _root("key"),
        },
        "accepted_count": size,
        "refused_count": 24,
        "devices": devices,
        "refused": _refused(now),
        "accepted": accepted,
    }
