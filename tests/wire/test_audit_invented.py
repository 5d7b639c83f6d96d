"""Entries that a lying hub makes up, under its genuine key: each is named by the audit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.trust.envelope import sign
from cellwarden.trust.identity import Identity, thumbprint
from cellwarden.trust.ledger import Checkpoint, leaf_hash, root_of, sign_checkpoint
from cellwarden.wire import encode_columns, link
from cellwarden.wire.audit import Report, Rows, audit
from cellwarden.wire.verdict import sign_verdict
from trust.making import NOW, ORIGIN, Maker, authority, certify, fleet, frames


@dataclass
class Invented:
    """A ledger of made-up entries under the genuine key, with whatever rows are claimed."""

    told: list[bytes]
    kept: dict[int, Rows]
    frames: int = 0

    def head(self) -> str:
        """The head over the entries."""
        root = root_of([leaf_hash(entry) for entry in self.told])
        return sign_checkpoint(Checkpoint(ORIGIN, len(self.told), root), fleet().ledger_secret)

    def entries(self, start: int, stop: int) -> Sequence[bytes]:
        """Entries in their order."""
        return self.told[start:stop]

    def rows(self, start: int, stop: int) -> dict[int, Rows]:
        """All there are."""
        return {index: kept for index, kept in self.kept.items() if start <= index < stop}

    def frame_count(self, size: int) -> int:  # noqa: ARG002  the claim is always the same
        """What is claimed."""
        return self.frames


def der(maker: Maker) -> bytes:
    return maker.certificate.public_bytes(Encoding.DER)


def genuine(maker: Maker, count: int = 2) -> Invented:
    """What an honest ledger of one device looks like."""
    told, kept = [der(maker)], {}
    for _ in range(count):
        readings = frames(seed=maker.sequence)
        content = maker.content(readings)
        manifest = maker.manifest(readings, content)
        signed = maker.sign(manifest)
        maker.sequence, maker.previous = manifest.sequence, link(signed)
        kept[len(told)] = Rows(maker.name, manifest.sequence, content.salt, content.columns, b"")
        told.append(signed)
    return Invented(told, kept, 6 * count)


def examine(view: Invented) -> Report:
    return audit(view, fleet().roots, fleet().note_key)


def forged(maker: Maker, **fields: object) -> Invented:
    """An honest batch, then one whose manifest says something else, duly signed."""
    view = genuine(maker, 1)
    readings = frames(seed=7)
    content = maker.content(readings)
    manifest = replace(maker.manifest(readings, content), **fields)  # type: ignore[arg-type]
    view.told.append(maker.sign(manifest))
    view.kept[2] = Rows(manifest.device, manifest.sequence, content.salt, content.columns, b"")
    view.frames += manifest.frame_count
    return view


def test_an_honest_invention_holds() -> None:
    report = examine(genuine(fleet().maker("a")))
    assert report.first_bad is None
    assert (report.batch_count, report.frame_count) == (2, 12)
    assert examine(forged(fleet().maker("a"))).ok


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sequence": 3}, "something is missing"),
        ({"sequence": 1}, "stands twice"),
        ({"previous": bytes(32)}, "does not continue"),
        ({"boot": 1}, "does not continue"),
        ({"device": "b"}, "who may not"),
        ({"columns": bytes(32)}, "not what it signed"),
        ({"notes": bytes(32)}, "notes"),
        ({"frame_count": 7}, "misstates"),
        ({"value_count": 1}, "misstates"),
        ({"first_unix_time_second": 0.0}, "misstates"),
        ({"last_unix_time_second": NOW}, "misstates"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_batch_that_does_not_fit_is_named(fields: dict[str, object], reason: str) -> None:
    maker = fleet().maker("a")
    maker.boot = 2
    bad = examine(forged(maker, **fields)).first_bad
    assert bad is not None
    assert reason in bad.reason
    assert bad.leaf_index == 2


def _signed_by_the_hub(_maker: Maker, view: Invented) -> None:
    hub = fleet().hub
    view.told.insert(0, hub.certificate.public_bytes(Encoding.DER))
    maker = replace(_maker, key=hub.key, certificate=hub.certificate, sequence=0)
    readings = frames()
    view.told[2:] = [maker.sign(maker.manifest(readings, maker.content(readings)))]


def _verdict_by_a_device(maker: Maker, view: Invented) -> None:
    view.told.append(sign_verdict({"device": "a"}, maker.key, maker.certificate))


def _of_no_known_kind(maker: Maker, view: Invented) -> None:
    mark = thumbprint(maker.certificate)
    view.told.append(sign(b"", maker.key, content_type="text/plain", thumbprint=mark))


def _never_enrolled(_maker: Maker, view: Invented) -> None:
    del view.told[0]
    view.kept = {index - 1: kept for index, kept in view.kept.items()}


def _under_another_key(maker: Maker, view: Invented) -> None:
    other = fleet().renewed(maker)
    mixed = replace(maker, key=other.key)
    readings = frames()
    view.told.append(mixed.sign(mixed.manifest(readings, mixed.content(readings))))


def _foreign_certificate(_maker: Maker, view: Invented) -> None:
    made = certify(authority(), Identity("device", "x"))
    view.told.append(made.certificate.public_bytes(Encoding.DER))


def _rows_of_nothing(_maker: Maker, view: Invented) -> None:
    del view.kept[2]


def _other_rows(_maker: Maker, view: Invented) -> None:
    kept = view.kept[2]
    view.kept[2] = replace(kept, columns=encode_columns(frames(seed=99)))


def _one_more_than_it_serves(_maker: Maker, view: Invented) -> None:
    view.entries = lambda start, stop: view.told[start : stop - 1]  # type: ignore[method-assign]


def _more_frames(_maker: Maker, view: Invented) -> None:
    view.frames += 1


@pytest.mark.parametrize(
    ("spoil", "leaf", "reason"),
    [
        (_signed_by_the_hub, 2, "who may not"),
        (_verdict_by_a_device, 3, "who may not"),
        (_of_no_known_kind, 3, "unknown kind"),
        (_never_enrolled, 0, "never enrolled"),
        (_under_another_key, 3, "signature"),
        (_foreign_certificate, 3, "authority"),
        (_rows_of_nothing, 2, "gone"),
        (_other_rows, 2, "not what it signed"),
        (_one_more_than_it_serves, 1, "missing"),
        (_more_frames, -1, "frames"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_a_lying_hub_makes_up_is_named(
    spoil: Callable[[Maker, Invented], None], leaf: int, reason: str
) -> None:
    maker = fleet().maker("a")
    view = genuine(maker)
    spoil(maker, view)
    bad = examine(view).first_bad
    assert bad is not None
    assert (bad.leaf_index, reason in bad.reason) == (leaf, True), bad
