"""A store of an older program is brought up to date with its rows; one of a newer is left alone."""

from importlib import resources

from cellwarden.errors import EXIT_CODE, UsageError
from cellwarden.hub.store import Store
from journeys.system import System, twin

NEWER = 9_999


def set_back(store: Store) -> int:
    """Make of a store one that the first version wrote; gives the version it had."""
    newest = store.rows("SELECT max(version) FROM schema_version")[0][0]
    first = resources.files("cellwarden.hub").joinpath("sql", "0001_first.sql").read_text()
    with store.transaction():
        for (name,) in store.rows(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'store'"
        ):
            if f"CREATE TABLE {name} (" not in first and name != "schema_version":
                store.execute(f"DROP TABLE {name}")
        store.execute("DELETE FROM schema_version WHERE version > 1")
    return int(newest)


def test_a_store_of_the_first_version_keeps_its_rows_and_goes_on(system: System) -> None:
    system.enrol("before", twin("before", 100))
    system.enrol("after", twin("after", 100))
    system.start_hub()
    system.send_all("before")
    assert system.stop_hub() == 0
    with system.store() as store:
        newest = set_back(store)
        assert store.rows("SELECT max(version) FROM schema_version") == [(1,)]
    assert newest > 1, "there is no newer version to bring it to"
    system.start_hub()
    system.send_all("after")
    assert system.stop_hub() == 0
    assert system.rows("SELECT max(version) FROM schema_version") == [(newest,)]
    system.check_stored("before", "after")
    system.verify()


def test_a_store_of_a_newer_program_is_refused_and_left_as_it_is(system: System) -> None:
    system.enrol("pack", twin("pack", 100))
    system.start_hub()
    system.send_all("pack")
    assert system.stop_hub() == 0
    with system.store() as store, store.transaction():
        store.add("schema_version", version=NEWER)
    hub = system.start_hub(up=False)
    assert hub.wait(60) == EXIT_CODE[UsageError]
    assert f"version {NEWER}" in system.hub_said()
    assert "what to do: Use the newer Cellwarden" in system.hub_said()
    assert "Traceback" not in system.hub_said()
    told = system.cli("verify")
    assert told.returncode == EXIT_CODE[UsageError], told.stderr
