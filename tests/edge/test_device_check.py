"""A device that cannot work does not start, and says all that is wrong at once."""

import shutil
import time
from pathlib import Path

import pytest

from cellwarden.cli.home import Home
from cellwarden.edge.config import open_outbox
from cellwarden.edge.device_check import check_device, require_sound
from cellwarden.edge.device_config import DeviceConfig, DriverPart, PackPart, write_device_config
from cellwarden.errors import UsageError

NAME = "pack-1"
CONFIG = DeviceConfig(PackPart("NMC", 50.0, 12))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("home"))
    home.init()
    folder = home.enrol(NAME)
    write_device_config(folder, CONFIG)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / NAME))


def levels(folder: Path, **more: float) -> dict[str, str]:
    return {seen.name: seen.level for seen in check_device(folder, **more)}


def test_a_device_that_was_just_enrolled_is_sound(folder: Path) -> None:
    assert set(levels(folder).values()) == {"ok"}
    assert require_sound(folder) == []


def test_everything_that_is_wrong_is_said_at_once_with_what_to_do(folder: Path) -> None:
    (folder / "device.toml").write_text("nonsense")
    (folder / "hub.toml").write_text("url = 7")
    (folder / "outbox.sqlite").write_bytes(b"")
    found = {seen.name: seen for seen in check_device(folder)}
    wrong = {name for name, seen in found.items() if seen.level == "wrong"}
    assert {"configuration", "hub's address", "outbox"} <= wrong
    assert all(found[name].hint for name in wrong)
    with pytest.raises(UsageError) as refused:
        require_sound(folder)
    assert all(name in str(refused.value) for name in wrong)


def test_a_certificate_that_is_over_soon_warns_and_one_that_is_over_is_wrong(folder: Path) -> None:
    day = 86_400.0
    assert levels(folder, now=time.time() + 380 * day)["certificate"] == "warning"
    assert levels(folder, now=time.time() + 400 * day)["certificate"] == "wrong"


def test_another_devices_certificate_or_key_is_wrong(folder: Path, made: Path) -> None:
    moved = folder.rename(folder.with_name("pack-2"))
    assert levels(moved)["certificate"] == "wrong"
    (moved / "keys" / "identity.wrapped").write_bytes(bytes(100))
    assert levels(moved)["certificate"] == "wrong"
    assert set(levels(made).values()) == {"ok"}


def test_driver_options_that_do_not_fit_are_wrong(folder: Path) -> None:
    for options in ({"wings": 2}, {"soc_fraction": 7.0}):
        config = DeviceConfig(CONFIG.pack, DriverPart(options=options))
        write_device_config(folder, config)
        assert levels(folder)["driver"] == "wrong"


def test_outputs_that_nobody_knows_are_wrong(folder: Path) -> None:
    path = folder / "outputs.toml"
    path.write_text('[[can]]\nprofile = "inverter"\n')
    assert next(seen for seen in check_device(folder) if seen.name == "outputs").level == "ok"
    path.write_text('[[telex]]\nprofile = "inverter"\n')
    found = next(seen for seen in check_device(folder) if seen.name == "outputs")
    path.unlink()
    assert found.level == "wrong"
    assert "telex" in found.said


def test_a_model_that_does_not_hold_is_a_warning(folder: Path) -> None:
    (folder / "models").mkdir()
    (folder / "models" / "x.grant").write_bytes(b"no grant")
    assert levels(folder)["models"] == "warning"
    (seen,) = require_sound(folder)
    assert "built in" in seen.hint


def test_a_watchdog_of_the_manager_that_bites_too_early_is_wrong(
    folder: Path,
) -> None:
    for told, level in (("600000", "wrong"), ("5000000", "ok")):
        environment = {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": told}
        found = {seen.name: seen for seen in check_device(folder, environment=environment)}
        assert found["service manager"].level == level


def test_looking_changes_nothing(folder: Path) -> None:
    open_outbox(folder).close()
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    check_device(folder)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
