"""A lost password, on the hub's own machine."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cellwarden.cli.client import HubClient
from journeys.system import System


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    made = System(tmp_path)
    yield made
    made.close()


def status_of(system: System, password: str) -> int:
    """What the hub answers to whoever signs in as admin."""
    with HubClient(system.home) as client:
        told = {"user": "admin", "password": password}
        authority = str(system.home.hub / "ca.crt")
        answer = httpx.post(
            f"{client.page_url}api/session", json=told, verify=_trusting(authority), trust_env=False
        )
        return answer.status_code


def _trusting(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


def renewed(system: System, *words: str) -> str:
    told = system.cli("password", *words)
    assert told.returncode == 0, told.stderr
    found = re.search(r"Sign in as admin with (\S+) - shown this once", told.stdout)
    assert found, told.stdout
    return found[1]


def test_a_lost_administrators_password_is_replaced_with_the_hub_down_or_up(
    system: System,
) -> None:
    first = renewed(system)
    system.start_hub()
    assert status_of(system, system.password) == 401
    assert status_of(system, first) == 200
    second = renewed(system, "admin")
    assert status_of(system, first) == 401
    assert status_of(system, second) == 200
    assert system.stop_hub() == 0
    rows = system.rows("SELECT actor, subject FROM audit WHERE action = 'reset password'")
    assert rows == [("command line", "admin"), ("certificate:local", "admin")]


def test_nobody_gets_no_password(system: System) -> None:
    told = system.cli("password", "nobody")
    assert told.returncode == 2
    assert "no such account" in told.stderr
    assert "Sign in" not in told.stdout
