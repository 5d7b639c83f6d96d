"""Of two hubs that do in one moment what only one may do, one is told so."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellwarden.errors import UsageError
from cellwarden.hub.accounts import Accounts
from cellwarden.hub.roles import Role
from hub.fleet import NOW
from hub.lakes import Site, lake_site, postgres

pytestmark = pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    with postgres(tmp_path_factory.mktemp("catalog")) as create:
        yield create


@pytest.fixture
def site(
    server: Callable[[str], str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    with lake_site(server, tmp_path, request.node.name) as made:
        yield made


def at_once(first: Callable[[], None], second: Callable[[], None]) -> list[UsageError]:
    """What two hubs do in the same moment; gives what they were told is wrong with it."""
    wrong: list[UsageError] = []
    start = threading.Barrier(2)

    def run(work: Callable[[], None]) -> None:
        start.wait(10)
        try:
            work()
        except UsageError as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_two_hubs_that_add_one_name_at_once_have_added_it_once(site: Site) -> None:
    one, two = (Accounts(site.open(), lambda: NOW) for _ in range(2))
    for number in range(5):
        name = f"carla-{number}"
        wrong = at_once(
            lambda name=name: one.add(name, Role.VIEWER, "a"),
            lambda name=name: two.add(name.upper(), Role.VIEWER, "b"),
        )
        assert [str(error)[:19] for error in wrong] == ["there is an account"]
    assert site.count("account") == 5


def test_two_administrators_cannot_remove_each_other_at_once(site: Site) -> None:
    one, two = (Accounts(site.open(), lambda: NOW) for _ in range(2))
    one.add("anna", Role.ADMINISTRATOR, "a")
    for _ in range(3):
        one.add("bert", Role.ADMINISTRATOR, "b")
        wrong = at_once(lambda: one.remove("bert"), lambda: two.remove("anna"))
        assert len(wrong) == 1
        assert "last administrator" in str(wrong[0])
        (left,) = one.all()
        if left.name == "bert":
            one.add("anna", Role.ADMINISTRATOR, "a")
            one.remove("bert")
