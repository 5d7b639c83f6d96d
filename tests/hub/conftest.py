"""One running hub for the tests of a module; who changes much runs its own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cellwarden.domain import Severity
from cellwarden.hub.roles import Role
from hub.fleet import Site, finding, pack_notes, site, sound_frames, verdict_row

HEALTH = {"soh_fraction": 0.91, "low": 0.88, "high": 0.94, "coverage": 0.9, "cycle_count": 120}
FADE = {
    "cycle_count": [1, 2],
    "capacity_ah": [5.0, None],
    "soh_fraction": [1.0, None],
    "estimate": [1.0, 0.99],
    "low": [0.98, 0.97],
    "high": [1.01, 1.0],
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two packs, findings, one verdict, one account a role."""
    folder: Path = tmp_path_factory.mktemp("hub")
    with site(folder) as running:
        running.add_people()
        running.fill("pack-1", sound_frames(), pack_notes(finding()))
        running.fill("pack-1", sound_frames(begin=running.clock.now), pack_notes())
        alarm = finding("rate", Severity.ALARM)
        running.fill("pack-2", sound_frames(), pack_notes(finding(), alarm))
        verdict_row(
            running.hub.store,
            "pack-1",
            health=HEALTH,
            life=None,
            life_reason="too few cycles",
            fade=FADE,
            model={"name": "soh", "digest": "ab", "fold": 1},
        )
        yield running


@pytest.fixture(scope="module")
def people(hub: Site) -> dict[Role, httpx.Client]:
    """One signed-in browser a role."""
    return {role: hub.sign_in(str(role)) for role in Role}
