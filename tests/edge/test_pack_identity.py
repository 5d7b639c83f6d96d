"""A device knows its pack again, over restarts; another, a copied and a silent one are found."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cellwarden.cli.home import Home
from cellwarden.cli.pairing import pair_command
from cellwarden.domain import Authenticity, Reaction
from cellwarden.edge.config import open_outbox
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.pack_identity import ELEMENT_FOLDER, PackIdentity, element_of
from cellwarden.errors import DecodeError, UsageError
from cellwarden.trust.identity import Roots, load_certificate

NAME, OTHER = "bms-1", "bms-2"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    home.init(device_port=1, page_port=2)  # nobody listens there
    for name in (NAME, OTHER):
        home.enrol(name)
        pair_command(home, name, f"pack-of-{name}")
    return home


@pytest.fixture
def home(first: Home, tmp_path: Path) -> Home:
    copied = tmp_path / "home"
    shutil.copytree(first.path, copied)
    return Home(copied)


Open = Callable[[], PackIdentity]


@pytest.fixture
def identity(home: Home) -> Iterator[Open]:
    folder = home.device(NAME)
    with closing(open_outbox(folder)) as outbox:

        def make() -> PackIdentity:
            roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
            return PackIdentity(NAME, element_of(folder), outbox, lambda: roots, time.time)

        yield make


def outcome(identity: PackIdentity) -> Authenticity:
    verdict = identity.ask()
    assert verdict is not None
    return verdict.authenticity


def test_the_paired_pack_is_known_again_after_restarts(identity: Open) -> None:
    for _ in range(3):
        one = identity()
        assert one.known == ("silent", "pack-of-bms-1"), "before it has answered"
        assert outcome(one) is Authenticity.GENUINE
        assert one.take_findings() == []
        permission = one.permission(0.1, closed=True)
        assert permission is not None
        assert permission.charge_fraction == 1.0


def test_another_pack_of_the_fleet_is_found_and_not_charged(home: Home, identity: Open) -> None:
    shutil.rmtree(home.device(NAME) / ELEMENT_FOLDER)
    shutil.copytree(home.device(OTHER) / ELEMENT_FOLDER, home.device(NAME) / ELEMENT_FOLDER)
    one = identity()
    assert outcome(one) is Authenticity.SWAPPED
    (found,) = one.take_findings()
    assert "pack-of-bms-2 answers where pack-of-bms-1 is paired" in found.message
    assert outcome(one) is Authenticity.SWAPPED
    assert one.take_findings() == [], "told once"
    permission = one.permission(0.1, closed=True)
    assert permission is not None
    assert permission.charge_fraction == 0.0


def test_a_copied_pack_is_found_once_both_have_answered(
    home: Home, identity: Open, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(home.device(NAME) / ELEMENT_FOLDER, copy)
    assert outcome(identity()) is Authenticity.GENUINE
    shutil.rmtree(home.device(NAME) / ELEMENT_FOLDER)
    shutil.copytree(copy, home.device(NAME) / ELEMENT_FOLDER)
    one = identity()
    assert outcome(one) is Authenticity.CLONED
    assert outcome(one) is Authenticity.CLONED, "its numbers have overtaken, and it is not believed"
    assert outcome(identity()) is Authenticity.CLONED, "nor after a restart"
    assert len(one.take_findings()) == 1
    one = identity()
    one.pair()
    assert outcome(one) is Authenticity.GENUINE


def test_a_pack_that_falls_silent_limps(home: Home, identity: Open) -> None:
    shutil.rmtree(home.device(NAME) / ELEMENT_FOLDER)
    one = identity()
    assert outcome(one) is Authenticity.SILENT
    permission = one.permission(0.1, closed=True)
    assert permission is not None
    assert 0.0 < permission.discharge_fraction < 1.0
    with pytest.raises(UsageError):
        one.pair()


def test_an_element_that_fails_says_nothing(home: Home, identity: Open) -> None:
    (home.device(NAME) / ELEMENT_FOLDER / "counter").write_text("many")
    assert outcome(identity()) is Authenticity.SILENT


def test_nobody_who_was_not_paired_is_asked(home: Home) -> None:
    folder = home.enrol("bms-3")
    with closing(open_outbox(folder)) as outbox:
        roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
        one = PackIdentity("bms-3", None, outbox, lambda: roots, time.time)
        assert one.ask() is None
        assert one.permission(0.1, closed=True) is None
        assert one.known == ("", "")
    with pytest.raises(UsageError):
        pair_command(home, "nobody", "")


def test_a_pairing_that_cannot_be_read_is_refused(home: Home) -> None:
    folder = home.device(NAME)
    with closing(open_outbox(folder)) as outbox:
        outbox.keep("pairing", b"\x80")
        roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
        with pytest.raises(DecodeError):
            PackIdentity(NAME, None, outbox, lambda: roots, time.time)


def test_an_outbox_keeps_the_pairing_out_of_plain_sight(home: Home) -> None:
    assert isinstance(open_outbox(home.device(NAME)), Outbox)
    content = (home.device(NAME) / "outbox.sqlite").read_bytes()
    assert b"pack-of-bms-1" not in content


def test_a_restart_is_no_new_hour_for_a_doubted_pack(home: Home, identity: Open) -> None:
    shutil.rmtree(home.device(NAME) / ELEMENT_FOLDER)
    one = identity()
    one.ask()
    one.permission(3000.0, closed=True)
    one.ask()
    again = identity()
    again.ask()
    permission = again.permission(700.0, closed=True)
    assert permission is not None
    assert permission.reaction is Reaction.FORBID_CLOSE


def test_a_revoked_pack_is_foreign_from_the_next_asking_on(home: Home) -> None:
    folder = home.device(NAME)
    assert home.revoke("pack-of-bms-1") == 1
    listed = (home.path / "authority" / "crl.pem").read_bytes()
    with closing(open_outbox(folder)) as outbox:
        believed = [Roots(load_certificate((folder / "ca.crt").read_bytes()))]
        one = PackIdentity(NAME, element_of(folder), outbox, lambda: believed[0], time.time)
        assert outcome(one) is Authenticity.GENUINE
        believed[0] = believed[0].renewed(listed)
        assert outcome(one) is Authenticity.FOREIGN


def test_a_pack_outlives_its_device(home: Home) -> None:
    encoded = (home.device(NAME) / ELEMENT_FOLDER / "pack.crt").read_bytes()
    left = load_certificate(encoded).not_valid_after_utc.timestamp() - time.time()
    assert left > 9 * 365 * 86_400.0


def test_cells_that_answer_as_others_make_a_genuine_pack_unlike_and_nothing_better(
    home: Home, identity: Open
) -> None:
    one = identity()
    one.hear_cells(unlike=True)
    assert one.known[0] == "silent", "before it has answered"
    assert outcome(one) is Authenticity.GENUINE, "that is what its key says"
    assert one.known[0] == "unlike"
    permission = one.permission(3700.0, closed=True)
    assert permission is not None
    assert permission.authenticity is Authenticity.UNLIKE
    assert permission.reaction is Reaction.FORBID_CLOSE, "an hour of use is over"
    shutil.rmtree(home.device(NAME) / ELEMENT_FOLDER)
    other = identity()
    other.hear_cells(unlike=False)
    assert outcome(other) is Authenticity.SILENT, "cells alone prove nothing"
