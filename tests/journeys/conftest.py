"""Installations for journeys: one a test, or one a module where faults do not mix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.system import System


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A new installation; its hub is not started yet."""
    made = System(tmp_path)
    yield made
    made.close()
