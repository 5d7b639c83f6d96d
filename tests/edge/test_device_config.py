"""What stands in a device's file is checked before anything starts, and says what to do."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cellwarden.edge.device_config import (
    DeviceConfig,
    DriverPart,
    LoopPart,
    OrdersPart,
    PackPart,
    ProtectorPart,
    RoomPart,
    has_device_config,
    read_device_config,
    write_device_config,
)
from cellwarden.errors import UsageError

PROTECTOR = ProtectorPart(2.0, 4.4, -20.0, 60.0, -30.0, 70.0, 150.0, 400.0)
PLAIN = DeviceConfig(PackPart("NMC", 50.0, 12))


def changed(**parts: Any) -> DeviceConfig:
    return msgspec.structs.replace(PLAIN, **parts)


def pack(**more: Any) -> DeviceConfig:
    return changed(pack=msgspec.structs.replace(PLAIN.pack, **more))


def test_a_pack_needs_little_and_gets_the_tables_limits(tmp_path: Path) -> None:
    write_device_config(tmp_path, PLAIN)
    assert has_device_config(tmp_path)
    config = read_device_config(tmp_path)
    assert config == PLAIN
    told = config.described("pack-1")
    assert told.pack.series_count == 12
    assert told.room.high_charge_current_ampere == 50.0
    assert told.room.high_voltage_volt == pytest.approx(12 * 4.21)
    assert told.settings.period_second == 0.1
    assert told.note.nominal_capacity_ah == 50.0


def test_the_board_is_as_the_file_says_and_else_as_usual() -> None:
    told = changed(board={"has_gas_sensor": True, "fuse_ampere": 250}).described("pack-1")
    assert told.board.has_gas_sensor
    assert told.board.fuse_ampere == 250
    assert told.board.cells_per_monitor_count == 12
    assert not told.board.has_authentication


def test_cells_side_by_side_carry_more_and_own_bounds_less() -> None:
    told = pack(parallel_count=2, high_charge_current_ampere=30.0).described("pack-1")
    assert told.room.high_charge_current_ampere == 30.0
    assert told.room.high_discharge_current_ampere == 300.0
    assert told.note.nominal_capacity_ah == 100.0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (pack(chemistry="XYZ"), "pack.chemistry"),
        (pack(nominal_capacity_ah=0.0), "nominal_capacity_ah"),
        (pack(nominal_capacity_ah=float("nan")), "nominal_capacity_ah"),
        (pack(series_count=0), "at least one cell"),
        (pack(high_charge_current_ampere=51.0), "the cells of this pack stand 50"),
        (pack(high_discharge_current_ampere=-1.0), "high_discharge_current_ampere"),
        (pack(low_soc_fraction=0.9, high_soc_fraction=0.1), "window of charge"),
        (changed(loop=LoopPart(period_second=0.001)), "loop.period_second"),
        (changed(loop=LoopPart(period_second=0.2)), "loop.period_second"),
        (changed(loop=LoopPart(frame_second=100.0)), "loop.frame_second"),
        (changed(loop=LoopPart(silent_second=0.1)), "loop.silent_second"),
        (changed(loop=LoopPart(batch_frames=0)), "loop.batch_frames"),
        (changed(loop=LoopPart(flush_second=0.0)), "loop.flush_second"),
        (changed(room=RoomPart(quota_bytes=10)), "room.quota_bytes"),
        (changed(room=RoomPart(keep_bytes=-1)), "room.keep_bytes"),
        (changed(orders=OrdersPart(poll_second=0.0)), "orders.poll_second"),
        (changed(orders=OrdersPart(hub_speaks_for=("viewer",))), "orders.hub_speaks_for"),
        (changed(driver=DriverPart(request="dance")), "driver.request"),
        (changed(board={"wings": 2}), "board.wings"),
        (changed(board={"has_gas_sensor": 1}), "board.has_gas_sensor"),
        (changed(board={"cells_per_monitor_count": 0}), "board.cells_per_monitor_count"),
        (changed(board={"period_second": 0.1}), "board.period_second"),
    ],
)
def test_what_cannot_be_is_named_with_what_to_do(config: DeviceConfig, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        config.described("pack-1")
    assert refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[pack]\nchemistry = 'NMC'",
        "[pack]\nchemistry = 'NMC'\nnominal_capacity_ah = 'many'\nseries_count = 12",
        "[pack]\nchemistry = 'NMC'\nnominal_capacity_ah = 5\nseries_count = 12\nvolts = 4",
        "[pack\n",
        "[pack]\nchemistry = 'NMC'\nnominal_capacity_ah = 5\nseries_count = 1\n[drivers]\n",
    ],
)
def test_a_file_that_says_something_else_is_refused_with_its_name(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "device.toml").write_text(text)
    with pytest.raises(UsageError, match=r"device\.toml"):
        read_device_config(tmp_path)


def test_a_folder_without_the_file_is_no_controlled_pack(tmp_path: Path) -> None:
    assert not has_device_config(tmp_path)
    with pytest.raises(UsageError, match="no controlled pack"):
        read_device_config(tmp_path)
