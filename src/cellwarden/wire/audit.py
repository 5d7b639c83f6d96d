"""Checks a ledger from outside: who signed, was anything changed, was anything dropped.

What is proved, in this order, for each entry
- it is where the signed head says, and nothing was taken out or put in between (the root);
- an enrolment is a certificate of the caller's authority;
- a batch is signed by a device of that authority, its sequence follows on, its link holds;
- the rows that the hub keeps of it are, bit for bit, those that the device signed, and stand in
  its name;
- everything that devices hold acknowledgements for is still there.

The caller brings the authority and the ledger's key; nothing of that is taken from the hub.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography import x509

from cellwarden.errors import Error, IdentityError, LedgerError, SealError
from cellwarden.trust.envelope import Signed, VerifyingKey, open_signed
from cellwarden.trust.identity import Roots, load_certificate, thumbprint, utc
from cellwarden.trust.ledger import Checkpoint, NoteKey, Tree, leaf_hash
from cellwarden.wire.batch import (
    BATCH_TYPE,
    FIRST_PREVIOUS,
    Manifest,
    check_summary,
    columns_digest,
    decode_columns,
    link,
    notes_digest,
)
from cellwarden.wire.verdict import VERDICT_TYPE

__all__ = ["Acknowledged", "Bad", "Report", "Rows", "View", "audit"]

CHUNK: Final = 256


@dataclass(frozen=True, slots=True)
class Rows:
    """What the hub keeps of a batch: in whose name, and in the form that was signed.

    `columns` is empty where the rows cannot be frames at all.
    """

    device: str
    sequence: int
    salt: bytes
    columns: bytes
    notes: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a device can show that the hub has bound itself to."""

    device: str
    sequence: int
    leaf_index: int
    manifest: bytes
    checkpoint: str


class View(Protocol):
    """A ledger as it is read for a check: the files of a hub, or a running one."""

    def head(self) -> str:
        """The newest signed head."""
        ...

    def entries(self, start: int, stop: int) -> Sequence[bytes]:
        """Entries `start` up to `stop`."""
        ...

    def rows(self, start: int, stop: int) -> dict[int, Rows]:
        """What is kept of the batches among these leaves."""
        ...

    def frame_count(self, size: int) -> int:
        """All rows that the hub keeps, without those of entries after the first `size`.

        A running hub takes in more while it is checked; the next check has these.
        """
        ...


@dataclass(frozen=True, slots=True)
class Bad:
    """The first record that does not hold."""

    device: str
    sequence: int
    leaf_index: int
    reason: str


@dataclass(slots=True)
class Report:
    """What was checked, and the first thing that does not hold."""

    device_count: int = 0
    batch_count: int = 0
    frame_count: int = 0
    value_count: int = 0
    verdict_count: int = 0
    tree_size: int = 0
    root: bytes = b""
    acknowledgement_count: int = 0
    first_bad: Bad | None = None

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return self.first_bad is None


@dataclass(slots=True)
class _Chain:
    sequence: int = 0
    boot: int = 0
    link: bytes = FIRST_PREVIOUS


@dataclass(slots=True)
class _State:
    roots: Roots
    certificates: dict[bytes, x509.Certificate] = field(default_factory=dict)
    chains: dict[str, _Chain] = field(default_factory=dict)
    where: tuple[str, int, int] = ("", 0, -1)
    acknowledged: Sequence[Acknowledged] = ()


def audit(
    view: View,
    roots: Roots,
    ledger_key: NoteKey,
    acknowledged: Sequence[Acknowledged] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """Check everything; stops at the first record that does not hold."""
    report, state = Report(), _State(roots, acknowledged=acknowledged)
    try:
        head = Checkpoint.open(view.head(), ledger_key)
        report.tree_size, report.root = head.size, head.root
        _check_promises(head, ledger_key, state)
        _check_entries(view, head, report, state, progress)
        kept = view.frame_count(head.size)
        if kept != report.frame_count:
            state.where = ("", 0, -1)
            raise LedgerError(
                f"the store holds {kept} frames, the ledger proves {report.frame_count}"
            )
    except Error as error:
        device, sequence, leaf = state.where
        report.first_bad = Bad(device, sequence, leaf, str(error))
    return report


def _check_promises(head: Checkpoint, key: NoteKey, state: _State) -> None:
    """No device has been promised more than there is."""
    for ack in state.acknowledged:
        state.where = (ack.device, ack.sequence, ack.leaf_index)
        promised = Checkpoint.open(ack.checkpoint, key)
        if not 0 <= ack.leaf_index < promised.size:
            raise LedgerError(
                f"{ack.device} holds an acknowledgement for leaf {ack.leaf_index}, which its own"
                f" head of {promised.size} entries does not have"
            )
        if promised.size > head.size:
            raise LedgerError(
                f"the ledger has {head.size} entries, but {ack.device} holds an acknowledgement for"
                f" one of {promised.size}: the newest records were deleted"
            )
    state.where = ("", 0, -1)


def _check_entries(
    view: View,
    head: Checkpoint,
    report: Report,
    state: _State,
    progress: Callable[[int, int], None],
) -> None:
    tree = Tree()
    promises = _promises(state.acknowledged)
    for start, entries in _chunks(view, head.size):
        kept = view.rows(start, start + len(entries))
        for index, entry in enumerate(entries, start):
            state.where = ("", 0, index)
            _check_entry(entry, index, kept, report, state)
            tree, _ = tree.grow([leaf_hash(entry)])
            _check_promise(promises.get(tree.size, ()), tree, state)
            for ack in promises.get(-1 - index, ()):
                _check_kept(ack, entry, state)
                report.acknowledgement_count += 1
        progress(start + len(entries), head.size)
    state.where = ("", 0, -1)
    if tree.root() != head.root:
        raise LedgerError("the entries do not give the root that was signed")


def _chunks(view: View, size: int) -> Iterator[tuple[int, Sequence[bytes]]]:
    for start in range(0, size, CHUNK):
        stop = min(size, start + CHUNK)
        entries = view.entries(start, stop)
        yield start, entries  # first what there is: it tells which one is missing
        if len(entries) != stop - start:
            raise LedgerError(f"{stop - start - len(entries)} entries before {stop} are missing")


def _promises(acknowledged: Sequence[Acknowledged]) -> dict[int, list[Acknowledged]]:
    """Acknowledgements by size of their head, and by -1 - index of their leaf."""
    found: dict[int, list[Acknowledged]] = {}
    for ack in acknowledged:
        size = int(ack.checkpoint.split("\n")[1])
        found.setdefault(size, []).append(ack)
        found.setdefault(-1 - ack.leaf_index, []).append(ack)
    return found


def _check_promise(acks: Sequence[Acknowledged], tree: Tree, state: _State) -> None:
    for ack in acks:
        promised = ack.checkpoint.split("\n\n")[0] + "\n"
        origin = promised.split("\n")[0]
        if Checkpoint(origin, tree.size, tree.root()).body() != promised:
            state.where = (ack.device, ack.sequence, ack.leaf_index)
            raise LedgerError(
                f"history was rewritten: {ack.device} holds another head of size {tree.size}"
            )


def _check_kept(ack: Acknowledged, entry: bytes, state: _State) -> None:
    if entry != ack.manifest:
        state.where = (ack.device, ack.sequence, ack.leaf_index)
        raise LedgerError(f"leaf {ack.leaf_index} is not what {ack.device} got acknowledged")


def _check_entry(
    entry: bytes, index: int, kept: dict[int, Rows], report: Report, state: _State
) -> None:
    if entry[:1] == b"\x30":  # DER: a certificate
        certificate = load_certificate(entry)
        identity = state.roots.check(certificate, utc(0), past=True)
        state.certificates[thumbprint(certificate)] = certificate
        report.device_count += identity.kind == "device"
        return
    signed = open_signed(entry)
    if signed.content_type == VERDICT_TYPE:
        _check_signer(signed, "hub", None, state)
        report.verdict_count += 1
        return
    if signed.content_type != BATCH_TYPE:
        raise LedgerError(f"an entry of unknown kind {signed.content_type!r}")
    manifest = Manifest.of(signed)
    state.where = (manifest.device, manifest.sequence, index)
    _check_signer(signed, "device", manifest.device, state)
    _check_chain(manifest, signed, state)
    _check_rows(manifest, kept.get(index))
    report.batch_count += 1
    report.frame_count += manifest.frame_count
    report.value_count += manifest.value_count


def _check_signer(signed: Signed, kind: str, name: str | None, state: _State) -> None:
    certificate = state.certificates.get(signed.thumbprint)
    if certificate is None:
        raise IdentityError("signed by somebody who was never enrolled")
    identity = state.roots.check(certificate, utc(0), past=True)
    if identity.kind != kind or name not in (None, identity.name):
        raise IdentityError(f"signed by {identity.kind} {identity.name}, who may not")
    key: VerifyingKey = certificate.public_key()  # type: ignore[assignment]  # verify refuses others
    signed.verify(key)


def _check_chain(manifest: Manifest, signed: Signed, state: _State) -> None:
    chain = state.chains.setdefault(manifest.device, _Chain())
    if manifest.sequence != chain.sequence + 1:
        raise LedgerError(
            f"batch {manifest.sequence} of {manifest.device} follows {chain.sequence}:"
            " something is missing or stands twice"
        )
    if manifest.previous != chain.link or manifest.boot < chain.boot:
        raise LedgerError(
            f"batch {manifest.sequence} of {manifest.device} does not continue the one before"
        )
    chain.sequence, chain.boot, chain.link = manifest.sequence, manifest.boot, link(signed.encoded)


def _check_rows(manifest: Manifest, rows: Rows | None) -> None:
    if rows is None:
        raise LedgerError(f"the rows of batch {manifest.sequence} of {manifest.device} are gone")
    if (rows.device, rows.sequence) != (manifest.device, manifest.sequence):
        raise LedgerError(
            f"the rows of batch {manifest.sequence} of {manifest.device} stand in the name of"
            f" {rows.device}, batch {rows.sequence}"
        )
    if columns_digest(rows.salt, rows.columns) != manifest.columns:
        raise SealError(
            f"the rows of batch {manifest.sequence} of {manifest.device} are not what it signed"
        )
    if notes_digest(rows.salt, rows.notes) != manifest.notes:
        raise SealError(
            f"the notes of batch {manifest.sequence} of {manifest.device} are not what it signed"
        )
    check_summary(manifest, decode_columns(rows.columns))
