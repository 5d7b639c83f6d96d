"""The audit finds what was really changed in the rows of a real hub, and names the first record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.domain import Finding, Severity
from cellwarden.hub.audit import StoreView
from cellwarden.hub.ledger import Entry, Ledger
from cellwarden.trust.identity import Roots
from cellwarden.trust.ledger import Checkpoint, NoteKey, leaf_hash, root_of, sign_checkpoint
from cellwarden.wire import Ack, Notes
from cellwarden.wire.audit import Acknowledged, Report, audit
from cellwarden.wire.verdict import sign_verdict
from trust.making import NOW, ORIGIN, Fleet, Maker, authority, fleet, frames

FINDING = Finding("bounds", Severity.ALARM, "cell_voltage_volt", NOW, "too high", 1, {"limit": 4.2})


@dataclass
class Site:
    """Two devices and what they sent: a's certificate and batches, b's, a's again, a verdict.

    Leaves: 0 hub's certificate, 1 a's, 2..4 batches 1..3 of a, 5 b's certificate, 6..7 batches
    1..2 of b, 8 batch 4 of a, 9 a verdict, 10 batch 3 of b.
    """

    fleet: Fleet
    folder: Path
    first: Maker
    second: Maker
    acknowledged: list[Acknowledged]


def acknowledged(maker: Maker, ack: Ack | None) -> Acknowledged:
    """What a device keeps of a reply."""
    assert ack is not None
    manifest = maker.sent[ack.sequence - 1].manifest
    return Acknowledged(maker.name, ack.sequence, ack.leaf_index, manifest, ack.checkpoint)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    parts = fleet()
    first, second = parts.maker("a"), parts.maker("b")
    kept = []
    with parts.open(tmp_path) as hub:
        hub.ingest.enrol(parts.hub.certificate)
        told = [first.next(notes=Notes(findings=(FINDING,))), first.next(), first.next()]
        kept.append(acknowledged(first, hub.send(first, *told)[0]))
        kept.append(acknowledged(second, hub.send(second, second.next(), second.next())[0]))
        hub.send(first, first.next())
        statement = {"device": "a", "inputs": []}
        entry = sign_verdict(statement, parts.hub.key, parts.hub.certificate)
        with hub.ledger.appending([Entry("verdict", "a", entry)], NOW):
            pass
        kept.append(acknowledged(second, hub.send(second, second.next())[0]))
    return Site(parts, tmp_path, first, second, kept)


def look(site: Site, kept: Sequence[Acknowledged] | None = None) -> Report:
    """The audit of a site's files, with what its devices hold."""
    kept = site.acknowledged if kept is None else kept
    with site.fleet.store(site.folder) as store:
        return audit(StoreView(store), site.fleet.roots, site.fleet.note_key, kept)


def change(site: Site, statements: str) -> None:
    """Do what somebody with the store's key can do."""
    with site.fleet.store(site.folder) as store, store.transaction():
        store.execute(statements)


def test_an_untouched_ledger_holds_and_everything_in_it_is_counted(site: Site) -> None:
    report = look(site)
    assert report.first_bad is None
    assert report.ok
    assert (report.device_count, report.batch_count, report.verdict_count) == (2, 7, 1)
    assert (report.tree_size, report.acknowledgement_count) == (11, 3)
    assert report.frame_count == 7 * 6
    assert report.value_count == 7 * frames().value_count()


# What is done to the rows, and the record that has to be named: device, batch, leaf, and a word of
# the reason.
TAMPER: dict[str, tuple[str, tuple[str, int, int], str]] = {
    "one voltage": (
        (
            "UPDATE sample SET voltage_volt = voltage_volt + 0.001 WHERE leaf_index = 3 AND "
            "frame_index = 4"
        ),
        ("a", 2, 3),
        "not what it signed",
    ),
    "the last bit of one cell": (
        (
            "UPDATE sample SET cell_voltage_volt = list_transform(cell_voltage_volt, lambda v, i: "
            "CASE WHEN i = 2 THEN (v::DOUBLE * 1.0000001)::FLOAT ELSE v END) WHERE leaf_index = 7 "
            "AND frame_index = 0"
        ),
        ("b", 2, 7),
        "not what it signed",
    ),
    "a gap filled in": (
        (
            "UPDATE sample SET cell_voltage_volt = [3.7, 3.7, 3.7] WHERE leaf_index = 2 AND "
            "frame_index = 0"
        ),
        ("a", 1, 2),
        "not what it signed",
    ),
    "a reading taken out": (
        "UPDATE sample SET current_ampere = NULL WHERE leaf_index = 6 AND frame_index = 1",
        ("b", 1, 6),
        "not what it signed",
    ),
    "a sensor taken out": (
        "UPDATE sample SET ambient_temperature_celsius = NULL WHERE leaf_index = 6",
        ("b", 1, 6),
        "not what it signed",
    ),
    "a sensor put in": (
        "UPDATE sample SET humidity_fraction = 0.5 WHERE leaf_index = 6",
        ("b", 1, 6),
        "not what it signed",
    ),
    "a cell moved from one frame to the next": (
        (
            "CREATE TEMP TABLE aside AS SELECT cell_voltage_volt[3] AS item FROM sample WHERE "
            "leaf_index = 3 AND frame_index = 0; UPDATE sample SET cell_voltage_volt = "
            "cell_voltage_volt[:2] WHERE leaf_index = 3 AND frame_index = 0; UPDATE sample SET "
            "cell_voltage_volt = list_prepend((SELECT item FROM aside), cell_voltage_volt) WHERE "
            "leaf_index = 3 AND frame_index = 1"
        ),
        ("a", 2, 3),
        "not what it signed",
    ),
    "a time": (
        (
            "UPDATE sample SET unix_time_second = unix_time_second + 0.5 WHERE leaf_index = 4 AND "
            "frame_index = 2"
        ),
        ("a", 3, 4),
        "not what it signed",
    ),
    "a time that runs backwards": (
        "UPDATE sample SET unix_time_second = 0 WHERE leaf_index = 4 AND frame_index = 2",
        ("a", 3, 4),
        "not what it signed",
    ),
    "a time that is none, and a voltage before it": (
        (
            "UPDATE sample SET unix_time_second = 'nan' WHERE leaf_index = 8 AND frame_index = 5; "
            "UPDATE sample SET voltage_volt = 0 WHERE leaf_index = 6 AND frame_index = 2"
        ),
        ("b", 1, 6),
        "not what it signed",
    ),
    "a list of another length": (
        "UPDATE sample SET cell_voltage_volt = [3.7] WHERE leaf_index = 8 AND frame_index = 1",
        ("a", 4, 8),
        "not what it signed",
    ),
    "a list that is gone": (
        (
            "UPDATE sample SET cell_temperature_celsius = NULL WHERE leaf_index = 8 AND "
            "frame_index = 1"
        ),
        ("a", 4, 8),
        "not what it signed",
    ),
    "one row gone": (
        "DELETE FROM sample WHERE leaf_index = 4 AND frame_index = 5",
        ("a", 3, 4),
        "not what it signed",
    ),
    "all rows of a batch gone": (
        "DELETE FROM sample WHERE leaf_index = 4",
        ("a", 3, 4),
        "gone",
    ),
    "a row twice": (
        "INSERT INTO sample SELECT * FROM sample WHERE leaf_index = 4 AND frame_index = 5",
        ("a", 3, 4),
        "not what it signed",
    ),
    "a row of no batch": (
        (
            "INSERT INTO sample SELECT * REPLACE (77 AS leaf_index) FROM sample WHERE leaf_index "
            "= 4 AND frame_index = 5"
        ),
        ("", 0, -1),
        "43 frames",
    ),
    "a row under a certificate's leaf": (
        (
            "INSERT INTO sample SELECT * REPLACE (1 AS leaf_index) FROM sample WHERE leaf_index = "
            "4 AND frame_index = 5"
        ),
        ("", 0, -1),
        "43 frames",
    ),
    "two rows swapped": (
        "UPDATE sample SET frame_index = 1 - frame_index WHERE leaf_index = 4 AND frame_index < 2",
        ("a", 3, 4),
        "not what it signed",
    ),
    "rows under another device's name": (
        "UPDATE sample SET device = 'b' WHERE leaf_index = 4",
        ("a", 3, 4),
        "name of a and b",
    ),
    "one row under another device's name": (
        "UPDATE sample SET device = 'b' WHERE leaf_index = 4 AND frame_index = 3",
        ("a", 3, 4),
        "name of",
    ),
    "two batches' rows swapped": (
        "UPDATE sample SET leaf_index = 5 - leaf_index WHERE leaf_index IN (2, 3)",
        ("a", 1, 2),
        "not what it signed",
    ),
    "a note": (
        "UPDATE batch SET notes = ''::BLOB WHERE leaf_index = 2",
        ("a", 1, 2),
        "notes",
    ),
    "a salt": (
        (
            "UPDATE batch SET salt = (SELECT salt FROM batch WHERE leaf_index = 3) WHERE "
            "leaf_index = 2"
        ),
        ("a", 1, 2),
        "not what it signed",
    ),
    "a batch's row gone": (
        "DELETE FROM batch WHERE leaf_index = 7",
        ("b", 2, 7),
        "gone",
    ),
    "a batch under another device's name": (
        "UPDATE batch SET device = 'a' WHERE leaf_index = 7",
        ("b", 2, 7),
        "name of",
    ),
    "a batch under another number": (
        "UPDATE batch SET sequence = 20 WHERE leaf_index = 7",
        ("b", 2, 7),
        "name of",
    ),
    "two leaves swapped": (
        "UPDATE leaf SET leaf_index = 5 - leaf_index WHERE leaf_index IN (2, 3)",
        ("a", 2, 2),
        "something is missing",
    ),
    "a leaf gone": (
        "DELETE FROM leaf WHERE leaf_index = 6",
        ("b", 2, 6),
        "something is missing",
    ),
    "one bit of a leaf": (
        (
            "UPDATE leaf SET entry = (entry[:octet_length(entry)-1]) || '\\x00'::BLOB WHERE "
            "leaf_index = 6"
        ),
        ("b", 1, 6),
        "signature",
    ),
    "a certificate for another": (
        (
            "UPDATE leaf SET entry = (SELECT entry FROM leaf WHERE leaf_index = 1) WHERE "
            "leaf_index = 5"
        ),
        ("b", 1, 6),
        "never enrolled",
    ),
    "a certificate gone and the rest moved up": (
        (
            "DELETE FROM leaf WHERE leaf_index = 5; UPDATE leaf SET leaf_index = leaf_index - 1 "
            "WHERE leaf_index > 5; UPDATE batch SET leaf_index = leaf_index - 1 WHERE leaf_index "
            "> 5; UPDATE sample SET leaf_index = leaf_index - 1 WHERE leaf_index > 5"
        ),
        ("b", 1, 5),
        "never enrolled",
    ),
    "two certificates swapped": (
        "UPDATE leaf SET leaf_index = 1 - leaf_index WHERE leaf_index IN (0, 1)",
        ("", 0, -1),
        "do not give the root",
    ),
    "the newest leaf gone": (
        "DELETE FROM leaf WHERE leaf_index = 10",
        ("", 0, 9),
        "1 entries before 11 are missing",
    ),
    "a leaf that is no entry": (
        "UPDATE leaf SET entry = 'nonsense'::BLOB WHERE leaf_index = 9",
        ("", 0, 9),
        "CBOR",
    ),
    "the newest verdict for an older entry": (
        (
            "UPDATE leaf SET entry = (SELECT entry FROM leaf WHERE leaf_index = 8) WHERE "
            "leaf_index = 9"
        ),
        ("a", 4, 9),
        "stands twice",
    ),
    "the head's root": (
        (
            "UPDATE checkpoint SET note = replace(note, chr(10) || '11' || chr(10), chr(10) || "
            "'10' || chr(10))"
        ),
        ("", 0, -1),
        "not signed",
    ),
    "no head": (
        "DELETE FROM checkpoint",
        ("", 0, -1),
        "empty",
    ),
}


@pytest.mark.parametrize("name", TAMPER)
def test_the_first_record_that_was_changed_is_named(site: Site, name: str) -> None:
    statements, where, reason = TAMPER[name]
    change(site, statements)
    bad = look(site, ()).first_bad
    assert bad is not None, "nobody noticed"
    assert ((bad.device, bad.sequence, bad.leaf_index), reason in bad.reason) == (where, True), bad


# --- a hub that lies: it holds the ledger's key and signs what it likes ---------------------------


def sign_anew(site: Site, *statements: str) -> None:
    """Change rows, then make hashes, tiles and a head that agree with them."""
    with site.fleet.store(site.folder) as store:
        with store.transaction():
            for statement in statements:
                store.execute(statement)
        entries = [bytes(r[0]) for r in store.rows("SELECT entry FROM leaf ORDER BY leaf_index")]
        hashes = [leaf_hash(entry) for entry in entries]
        head = Checkpoint(ORIGIN, len(entries), root_of(hashes))
        with store.transaction():
            store.execute("DELETE FROM checkpoint")
            for index, value in enumerate(hashes):
                store.execute("UPDATE leaf SET hash = ? WHERE leaf_index = ?", [value, index])
            note = sign_checkpoint(head, site.fleet.ledger_secret)
            store.add("checkpoint", size=head.size, root=head.root, note=note, unix_time_second=NOW)
        Ledger(store, site.fleet.ledger_secret, ORIGIN)  # for the hub itself nothing is wrong


def _without(first: int, last: int) -> tuple[str, ...]:
    """Drop leaves first..last and close the gap."""
    count = last - first + 1
    tables = ("sample", "batch", "leaf")
    return tuple(
        statement
        for table in tables
        for statement in (
            f"DELETE FROM {table} WHERE leaf_index BETWEEN {first} AND {last}",
            f"UPDATE {table} SET leaf_index = leaf_index - {count} WHERE leaf_index > {last}",
        )
    )


@pytest.mark.parametrize(
    ("statements", "where", "reason"),
    [
        (_without(10, 10), ("b", 3, 10), "newest records were deleted"),
        (_without(8, 10), ("b", 3, 10), "newest records were deleted"),
        ((*_without(5, 7), *_without(7, 7)), ("b", 2, 7), "newest records were deleted"),
    ],
    ids=["the newest batch", "the newest three entries", "a whole device"],
)
def test_a_hub_that_drops_and_signs_anew_is_caught_by_an_acknowledgement(
    site: Site, statements: tuple[str, ...], where: tuple[str, int, int], reason: str
) -> None:
    sign_anew(site, *statements)
    assert look(site, ()).ok, "without acknowledgements nobody can know"
    bad = look(site).first_bad
    assert bad is not None
    assert (bad.device, bad.sequence, bad.leaf_index) == where
    assert reason in bad.reason


def test_a_hub_that_drops_a_device_and_fills_the_room_is_caught(site: Site) -> None:
    sign_anew(site, *_without(5, 7), *_without(7, 7))
    with site.fleet.open(site.folder) as hub:
        hub.send(site.first, *(site.first.next() for _ in range(6)))
    assert look(site, ()).ok
    bad = look(site).first_bad
    assert bad is not None
    assert "history was rewritten" in bad.reason
    assert (bad.device, bad.sequence) == ("b", 2)


def test_a_hub_that_swaps_two_entries_is_caught(site: Site) -> None:
    # Two enrolments change places: every chain still holds, only the order is a lie.
    sign_anew(
        site,
        "UPDATE leaf SET leaf_index = 1 - leaf_index WHERE leaf_index IN (0, 1)",
    )
    assert look(site, ()).ok
    bad = look(site).first_bad
    assert bad is not None
    assert (bad.device, bad.sequence) == ("a", 3)
    assert "history was rewritten" in bad.reason


def test_each_acknowledgement_alone_catches_what_was_rewritten_before_it(site: Site) -> None:
    sign_anew(site, "UPDATE leaf SET leaf_index = 1 - leaf_index WHERE leaf_index IN (0, 1)")
    for ack in site.acknowledged:
        bad = look(site, [ack]).first_bad
        assert bad is not None
        assert (bad.device, bad.sequence) == (ack.device, ack.sequence)


@pytest.mark.parametrize(
    "lie",
    [
        lambda ack: replace(ack, leaf_index=ack.leaf_index + 1),
        lambda ack: replace(ack, leaf_index=11),
        lambda ack: replace(ack, leaf_index=-5),
        lambda ack: replace(ack, manifest=ack.manifest[:-1]),
        lambda ack: replace(ack, checkpoint=ack.checkpoint.replace("\n", "\n1", 1)),
        lambda ack: replace(ack, checkpoint="nonsense"),
    ],
    ids=["next leaf", "no leaf", "negative leaf", "manifest", "head", "no head"],
)
def test_an_acknowledgement_that_does_not_fit_is_never_passed_over(
    site: Site, lie: Callable[[Acknowledged], Acknowledged]
) -> None:
    bad = look(site, [lie(site.acknowledged[0])]).first_bad
    assert bad is not None
    assert (bad.device, bad.sequence) == ("a", 3)


def test_a_head_of_another_ledgers_key_is_refused(site: Site) -> None:
    other = NoteKey.of(ORIGIN, ed25519.Ed25519PrivateKey.generate())
    with site.fleet.store(site.folder) as store:
        report = audit(StoreView(store), site.fleet.roots, other)
    assert report.first_bad is not None
    assert "not signed by" in report.first_bad.reason


def test_certificates_of_another_authority_are_refused(site: Site) -> None:
    foreign = Roots(authority().certificate)
    with site.fleet.store(site.folder) as store:
        report = audit(StoreView(store), foreign, site.fleet.note_key)
    assert report.first_bad is not None
    assert report.first_bad.leaf_index == 0


def test_progress_is_told_to_the_end(site: Site) -> None:
    told: list[tuple[int, int]] = []
    with site.fleet.store(site.folder) as store:
        audit(
            StoreView(store),
            site.fleet.roots,
            site.fleet.note_key,
            progress=lambda done, size: told.append((done, size)),
        )
    assert told[-1] == (11, 11)
