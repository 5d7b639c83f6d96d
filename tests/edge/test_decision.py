"""The loop's control is the pure cycle, with the pack's own bounds under every order."""

import pytest

from cellwarden.domain import FREE, Curb, Ordered
from cellwarden.edge.control_loop import Decision
from cellwarden.edge.device_config import Described, DeviceConfig, PackPart
from cellwarden.edge.live import open_live
from cellwarden.errors import UsageError
from edge.test_device_config import PROTECTOR, pack


def run(
    config: DeviceConfig, count: int, ordered: Ordered = FREE
) -> tuple[Described, list[Decision]]:
    told = config.described("pack-1")
    live, decisions = open_live(config, told), []
    for _ in range(count):
        decision = told.control(live.read(), None, ordered)
        live.write(decision.command)
        decisions.append(decision)
    return told, decisions


def test_a_pack_connects_and_each_change_of_mode_is_told_once() -> None:
    _, decisions = run(DeviceConfig(PackPart("NMC", 50.0, 12)), 30)
    assert decisions[-1].state == "connected"
    assert decisions[-1].command.contactors.closed
    told = [one.message for decision in decisions for one in decision.findings]
    assert len(told) == len(set(told)) == sum(decision.changed for decision in decisions)
    assert any(line.startswith("precharge to connected") for line in told)


def test_the_packs_own_bounds_hold_under_every_order() -> None:
    config = pack(high_charge_current_ampere=3.0, high_soc_fraction=0.8)
    for ordered, charge, discharge in (
        (FREE, 3.0, 150.0),
        (Ordered(Curb(40.0, 40.0)), 3.0, 40.0),
        (Ordered(Curb(1.0)), 1.0, 150.0),
    ):
        _, decisions = run(config, 30, ordered)
        for decision in decisions:
            assert decision.command.high_charge_current_ampere <= charge
            assert decision.command.high_discharge_current_ampere <= discharge


def test_a_protector_that_is_tighter_than_the_table_is_refused() -> None:
    DeviceConfig(PackPart("NMC", 50.0, 12), PROTECTOR).described("pack-1")
    tight = type(PROTECTOR)(**{**_fields(PROTECTOR), "high_voltage_volt": 4.2})
    with pytest.raises(UsageError, match="protector"):
        DeviceConfig(PackPart("NMC", 50.0, 12), tight).described("pack-1")


def _fields(part: object) -> dict[str, float]:
    return {name: getattr(part, name) for name in part.__struct_fields__}  # type: ignore[attr-defined]
