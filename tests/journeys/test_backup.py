"""A hub that was destroyed comes back from its backup, and the devices bring what came after it."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.home import Home
from cellwarden.errors import EXIT_CODE, DataError, UnavailableError, UsageError
from cellwarden.trust.keys import FileKeyStore
from journeys.system import System, stored_frames, twin, wait_for


def back_up(system: System, name: str = "backup") -> tuple[Path, Path]:
    """Archive and key file."""
    target = system.folder / name
    told = system.cli("backup", str(target))
    assert told.returncode == 0, told.stderr
    return target, target.with_name(f"{name}.keys")


def restored(system: System, archive: Path, keys: Path, name: str = "restored") -> Path:
    """The installation that a backup holds."""
    home = system.folder / name
    told = System(system.folder, home=Home(home)).cli("restore", str(archive), str(keys))
    assert told.returncode == 0, told.stderr
    return home


def test_devices_send_again_what_the_backup_of_a_running_hub_has_not(system: System) -> None:
    system.enrol("growing", twin("growing", 4_000))
    system.enrol("finished", twin("finished", 60))
    system.enrol("unknown", twin("unknown", 60))
    system.start_hub()
    edge = system.edge("growing")
    wait_for(lambda: edge.last("growing")["sent_count"] > 10, "something to back up")
    edge.kill()
    edge = system.edge("growing")  # and it goes on while the copy is made
    archive, keys = back_up(system)
    for _ in range(2):  # what the first report tells may have been sent before the copy was made
        before = edge.last("growing")["sent_count"]
        wait_for(lambda: edge.last("growing")["sent_count"] > before, "something after the backup")  # noqa: B023  called at once
    edge.kill()
    system.send_all("finished", "unknown")
    with pytest.raises(UnavailableError, match="another process"), system.store():
        pytest.fail("the copying took away the running hub's lock")
    system.kill_hub()
    shutil.rmtree(system.home.hub)
    shutil.copytree(restored(system, archive, keys) / "hub", system.home.hub)
    system.start_hub()
    again = system.send_all("growing", "finished", "unknown")  # two have nothing new to say
    assert again.last("finished")["sent_count"] == 12
    assert system.stop_hub() == 0
    system.check_stored("growing", "finished", "unknown")
    told = system.rows("SELECT device, severity, message FROM finding WHERE kind = 'ledger'")
    assert {row[0] for row in told} == {"growing"}
    assert "sent again" in told[0][2]
    system.verify()


def test_a_whole_installation_comes_back_on_an_empty_machine_and_goes_on(system: System) -> None:
    system.enrol("pack", twin("pack", 2_000))
    system.start_hub()
    edge = system.edge("pack")
    wait_for(lambda: edge.last("pack")["sent_count"] > 20, "something to back up")
    edge.kill()
    system.stop_hub()
    archive, keys = back_up(system)  # of the files, the hub being down
    shutil.rmtree(system.home.path)
    restored(system, archive, keys, "home")
    system.start_hub()
    system.send_all("pack")
    assert system.stop_hub() == 0
    system.check_stored("pack")
    system.verify()


def test_neither_file_of_a_backup_opens_anything_alone(system: System) -> None:
    folder = system.enrol("pack", twin("pack", 400))
    system.start_hub()
    system.send_all("pack")
    archive, keys = back_up(system)
    assert system.stop_hub() == 0
    with system.store() as store:
        volts = np.concatenate([batch.voltage_volt for batch in stored_frames(store, "pack")])
    content = archive.read_bytes()
    for start in range(0, 400, 50):
        assert volts[start : start + 3].tobytes() not in content
    for place in (folder / "keys", system.home.hub / "keys", system.home.path / "authority/keys"):
        store_of_keys = FileKeyStore(place)
        for name in (path.stem for path in place.glob("*.wrapped")):
            assert store_of_keys.get(name) not in content, f"{place}/{name}"
        assert (place / "master.key").read_bytes() not in content
    with tarfile.open(archive) as tar, tarfile.open(keys) as key_tar:
        assert not [name for name in tar.getnames() if name.endswith("master.key")]
        assert all(name.endswith("master.key") for name in key_tar.getnames())
    for given, kind in (((archive, archive), UsageError), ((keys, keys), DataError)):
        other = System(system.folder, home=Home(system.folder / f"alone-{kind.__name__}"))
        told = other.cli("restore", *map(str, given))
        assert told.returncode == EXIT_CODE[kind], told.stderr
        assert "what to do: " in told.stderr


def test_a_backup_that_is_cut_short_is_refused_and_the_place_stays_free(system: System) -> None:
    archive, keys = back_up(system)
    content = archive.read_bytes()
    with tarfile.open(archive) as tar:
        before_store = tar.getmember("hub/store.duckdb").offset
    lengths = (0, 700, before_store, len(content) // 2, len(content) - 20_000)
    for number, length in enumerate(lengths):
        cut = system.folder / f"cut-{number}"
        cut.write_bytes(content[:length])
        place = System(system.folder, home=Home(system.folder / f"place-{number}"))
        told = place.cli("restore", str(cut), str(keys))
        assert told.returncode == EXIT_CODE[DataError], (length, told.stderr)
        assert "not a backup, or is cut short" in told.stderr
        told = place.cli("restore", str(archive), str(keys))
        assert told.returncode == 0, told.stderr
