"""Whom a hub does not believe any more, from the authority's list and from hubs themselves."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.errors import IdentityError, UsageError
from cellwarden.hub.revocations import Revocations, read_roots, revoke
from cellwarden.hub.service import Hub
from cellwarden.trust.identity import utc
from hub.fleet import NOW, Clock, installation, open_hub, sound_frames
from trust.making import Maker


@dataclass
class Place:
    """A hub with one device that has sent something."""

    hub: Hub
    folder: Path
    maker: Maker

    @property
    def serial(self) -> int:
        """Of the device's certificate."""
        return self.maker.certificate.serial_number

    def list_by_authority(self, *serials: int) -> None:
        """Put the authority's list into the folder."""
        authority = installation().authority
        (self.folder / "crl.pem").write_bytes(authority.revocations(serials, utc(NOW)))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    hub = open_hub(tmp_path, Clock())
    root = installation().authority.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "ca.crt").write_bytes(root)
    maker = installation().maker("pack-1")
    assert hub.ingest.submit([maker.next(sound_frames(5)).encode()], maker.peer).result(30)[0]
    yield Place(hub, tmp_path, maker)
    hub.close()


def test_what_a_hub_takes_back_stays_taken_back(place: Place) -> None:
    place.hub.ingest.roots.check(place.maker.certificate, utc(NOW))
    revoke(place.hub, place.folder, "pack-1")
    for roots in (place.hub.ingest.roots, read_roots(place.folder, place.hub.store)):
        with pytest.raises(IdentityError, match="revoked"):
            roots.check(place.maker.certificate, utc(NOW))


def test_a_device_that_never_came_cannot_be_taken_back(place: Place) -> None:
    with pytest.raises(UsageError, match="no device"):
        revoke(place.hub, place.folder, "pack-9")
    assert place.hub.store.rows("SELECT count(*) FROM revoked") == [(0,)]


def test_a_new_list_of_the_authority_is_noticed_once(place: Place) -> None:
    known = Revocations(place.folder, place.hub.store)
    assert not known.changed()
    place.list_by_authority(place.serial)
    assert known.changed()
    assert not known.changed()
    assert known.serials() == known.roots().revoked == {place.serial}


def test_the_authoritys_list_goes_to_the_hubs_that_share_the_store(
    place: Place, tmp_path: Path
) -> None:
    place.list_by_authority(place.serial, 7)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ca.crt").write_bytes((place.folder / "ca.crt").read_bytes())
    other = Revocations(elsewhere, place.hub.store)
    assert other.serials() == set()
    for _ in range(2):
        Revocations(place.folder, place.hub.store).share(NOW)
    assert other.serials() == {place.serial, 7}
    assert place.hub.store.rows("SELECT count(*) FROM revoked") == [(2,)]


def test_what_an_older_hub_wrote_beside_its_store_still_counts(place: Place) -> None:
    (place.folder / "revoked.json").write_text(json.dumps([f"{place.serial:x}"]))
    assert read_roots(place.folder, place.hub.store).revoked == {place.serial}
