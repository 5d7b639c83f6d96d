"""A receipt proves a verdict to whoever holds the trust roots; any edit of it is refused."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, DecodeError, Error, IdentityError, LedgerError, TrustError
from cellwarden.hub.ledger import Entry
from cellwarden.trust.envelope import sign
from cellwarden.trust.identity import Identity, Roots, thumbprint
from cellwarden.trust.ledger import NoteKey
from cellwarden.wire import link
from cellwarden.wire.verdict import (
    VERDICT_TYPE,
    Checked,
    Proved,
    check_receipt,
    make_receipt,
    sign_verdict,
)
from trust.making import NOW, ORIGIN, Maker, Running, authority, certify, fleet

REFUSED = (DataError, TrustError)


def certificate_bytes(maker: Maker) -> bytes:
    return maker.certificate.public_bytes(Encoding.DER)


def statement_of(maker: Maker, first: int, last: int) -> dict[str, Any]:
    """What a hub says of batches first..last."""
    return {
        "device": maker.name,
        "unix_time_second": NOW,
        "first_sequence": first,
        "last_sequence": last,
        "inputs": [link(message.manifest).hex() for message in maker.sent[first - 1 : last]],
        "health": {"soh_fraction": 0.913, "low": 0.88, "high": 0.94, "cycle_count": 1},
        "health_reason": None,
        "model": {"name": "hybrid", "digest": "ab" * 32},
    }


def log_verdict(
    hub: Running,
    entry: bytes,
    batches: dict[int, bytes],
    certificates: list[bytes],
) -> str:
    """Put a verdict on the ledger and make its receipt; batches by leaf index."""
    with hub.ledger.appending([Entry("verdict", "a", entry)], NOW) as grown:

        def proved(content: bytes, index: int) -> Proved:
            return Proved(content, index, hub.ledger.inclusion_in(index, grown))

        inputs = [proved(content, index) for index, content in batches.items()]
        return make_receipt(grown.note, proved(entry, grown.first_index), inputs, certificates)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Maker]]:
    """A hub with a certificate, then batches 1..4 of device a (leaves 1..4)."""
    with fleet().open(tmp_path_factory.mktemp("hub")) as hub:
        maker = fleet().maker("a")
        hub.send(maker, *(maker.next() for _ in range(4)))
        hub.ingest.enrol(fleet().hub.certificate)
        yield hub, maker


def receipt_over(
    hub: Running, maker: Maker, statement: dict[str, Any], sequences: range | list[int]
) -> str:
    parts = fleet()
    entry = sign_verdict(statement, parts.hub.key, parts.hub.certificate)
    batches = {sequence: maker.sent[sequence - 1].manifest for sequence in sequences}
    hub_certificate = parts.hub.certificate.public_bytes(Encoding.DER)
    return log_verdict(hub, entry, batches, [certificate_bytes(maker), hub_certificate])


@pytest.fixture(scope="module")
def receipt(running: tuple[Running, Maker]) -> str:
    hub, maker = running
    return receipt_over(hub, maker, statement_of(maker, 1, 4), range(1, 5))


def check(text: str) -> Checked:
    return check_receipt(text, fleet().roots, fleet().note_key)


def test_a_receipt_holds_with_nothing_but_the_trust_roots(receipt: str) -> None:
    checked = check(receipt)
    assert (checked.device, checked.batch_count) == ("a", 4)
    assert (checked.first_sequence, checked.last_sequence) == (1, 4)
    assert checked.verdict["health"]["soh_fraction"] == 0.913
    assert check_receipt(receipt.encode(), fleet().roots, fleet().note_key) == checked


def test_a_receipt_may_begin_in_the_middle_of_a_chain(running: tuple[Running, Maker]) -> None:
    hub, maker = running
    checked = check(receipt_over(hub, maker, statement_of(maker, 2, 3), range(2, 4)))
    assert (checked.first_sequence, checked.last_sequence, checked.batch_count) == (2, 3, 2)


# --- every field edited ---------------------------------------------------------------------------


def paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from paths(item, (*path, name))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


def edited(value: Any) -> list[Any]:
    """Other values of about the same kind."""
    match value:
        case bool() | None:
            return [0, "x"]
        case int():
            return [value + 1, -value - 1, float(value), str(value), True, None]
        case float():
            return [value + 1e-9, str(value), None]
        case str():
            return [value + "x", value[:-1], value.swapcase() + " ", 5, None, [value]]
        case list():
            return [value[:-1], value[1:], value[::-1], [*value, *value[-1:]], {}, None]
        case _:
            return [{**value, "more": 1}, dict(list(value.items())[1:]), [], None]


def test_each_field_edited_is_refused(receipt: str) -> None:
    told = json.loads(receipt)
    tried = 0
    for path in paths(told):
        if not path:
            continue
        *front, last = path
        holder = told
        for step in front:
            holder = holder[step]
        original = holder[last]
        for other in edited(original):
            same = type(other) is type(original) and other == original
            # A certificate more or in another place proves no more and no less.
            if same or (path == ("certificates",) and isinstance(other, list) and len(other) > 1):
                continue
            holder[last] = other
            try:
                check(json.dumps(told))
            except REFUSED:
                tried += 1
            else:
                pytest.fail(f"{path} from {original!r} to {other!r} was believed")
            holder[last] = original
    assert tried > 200
    assert check(json.dumps(told))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_changed_character_is_refused_or_says_the_same(receipt: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(receipt) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=0x24F))
    changed = receipt[:place] + other + receipt[place + 1 :]
    try:
        check(changed)
    except REFUSED:
        return
    # The text of the head may hold other signatures beside ours; JSON knows `\\u0041` and blanks.
    assert json.loads(changed) == json.loads(receipt)


def test_a_key_that_stands_twice_is_refused(receipt: str) -> None:
    # A reader who stops at the first one would see another statement than the one that is checked.
    lie = '{"statement":{"device":"a","health":{"soh_fraction":0.99}},' + receipt[1:]
    with pytest.raises(DecodeError):
        check(lie)


def test_a_number_that_is_none_is_refused_before_anything_is_compared(receipt: str) -> None:
    with pytest.raises(DecodeError):
        check(receipt.replace("0.913", "NaN"))


def test_the_bits_that_nobody_reads_are_zero(receipt: str) -> None:
    # The last letter of Base64 before `=` carries two or four bits more than there are.
    told = json.loads(receipt)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    padded = [n for n, text in enumerate(told["batches"][0]["proof"]) if text.endswith("=")]
    assert padded
    for place in padded:
        proof = told["batches"][0]["proof"]
        original = proof[place]
        stem = original.rstrip("=")
        other = letters[letters.index(stem[-1]) + 1]
        proof[place] = stem[:-1] + other + original[len(stem) :]
        assert base64.b64decode(proof[place]) == base64.b64decode(original)
        with pytest.raises(DecodeError):
            check(json.dumps(told))
        proof[place] = original


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_text_is_no_receipt(text: str | bytes) -> None:
    with pytest.raises(DecodeError):
        check_receipt(text, fleet().roots, fleet().note_key)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 10_000, '"\\ud800"', "NaN", ""])
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        check(text)


# --- receipts that somebody made up with more or less in hand -------------------------------------


def _of_a_device_with_a_hubs_name(hub: Running, maker: Maker) -> str:
    entry = sign_verdict(statement_of(maker, 1, 1), maker.key, maker.certificate)
    return log_verdict(hub, entry, {1: maker.sent[0].manifest}, [certificate_bytes(maker)])


def _without_the_hubs_certificate(hub: Running, maker: Maker) -> str:
    parts = fleet()
    entry = sign_verdict(statement_of(maker, 1, 1), parts.hub.key, parts.hub.certificate)
    return log_verdict(hub, entry, {1: maker.sent[0].manifest}, [certificate_bytes(maker)])


def _by_a_foreign_hub(hub: Running, maker: Maker) -> str:
    foreign = certify(authority(), Identity("hub", "test"))
    entry = sign_verdict(statement_of(maker, 1, 1), foreign.key, foreign.certificate)
    certificates = [certificate_bytes(maker), foreign.certificate.public_bytes(Encoding.DER)]
    return log_verdict(hub, entry, {1: maker.sent[0].manifest}, certificates)


def _with_the_certificate_of_another_key(hub: Running, maker: Maker) -> str:
    other = certify(fleet().authority, Identity("hub", "test"))
    entry = sign_verdict(statement_of(maker, 1, 1), other.key, fleet().hub.certificate)
    hub_certificate = fleet().hub.certificate.public_bytes(Encoding.DER)
    certificates = [certificate_bytes(maker), hub_certificate]
    return log_verdict(hub, entry, {1: maker.sent[0].manifest}, certificates)


def _stating(**fields: Any) -> Callable[[Running, Maker], str]:
    def make(hub: Running, maker: Maker) -> str:
        statement = {**statement_of(maker, 1, 4), **fields}
        return receipt_over(hub, maker, statement, range(1, 5))

    return make


def _lacking(name: str) -> Callable[[Running, Maker], str]:
    def make(hub: Running, maker: Maker) -> str:
        statement = statement_of(maker, 1, 4)
        del statement[name]
        return receipt_over(hub, maker, statement, range(1, 5))

    return make


def _over(sequences: list[int]) -> Callable[[Running, Maker], str]:
    def make(hub: Running, maker: Maker) -> str:
        statement = statement_of(maker, 1, 4)
        statement["inputs"] = [link(maker.sent[n - 1].manifest).hex() for n in sequences]
        statement["first_sequence"], statement["last_sequence"] = sequences[0], sequences[-1]
        return receipt_over(hub, maker, statement, sequences)

    return make


def _over_a_gap_that_is_counted(hub: Running, maker: Maker) -> str:
    """Batches 1, 2 and 4 told as the three up to the fourth."""
    statement = statement_of(maker, 2, 4)
    statement["inputs"] = [link(maker.sent[n - 1].manifest).hex() for n in (1, 2, 4)]
    return receipt_over(hub, maker, statement, [1, 2, 4])


def _over_two_histories(hub: Running, maker: Maker) -> str:
    """Batch 1 of one history, batch 2 of another, both signed by the device."""
    other = replace(maker, sequence=1, previous=bytes(31) + b"\x01", sent=maker.sent[:1])
    other.next()
    with hub.ledger.appending([Entry("batch", "a", other.sent[1].manifest)], NOW) as grown:
        index = grown.first_index
    parts = fleet()
    entry = sign_verdict(statement_of(other, 1, 2), parts.hub.key, parts.hub.certificate)
    certificates = [certificate_bytes(maker), parts.hub.certificate.public_bytes(Encoding.DER)]
    batches = {1: other.sent[0].manifest, index: other.sent[1].manifest}
    return log_verdict(hub, entry, batches, certificates)


def _over_nothing(hub: Running, maker: Maker) -> str:
    statement = {**statement_of(maker, 1, 4), "inputs": []}
    return receipt_over(hub, maker, statement, [])


def _a_payload_of(
    payload: bytes, content_type: str = VERDICT_TYPE
) -> Callable[[Running, Maker], str]:
    def make(hub: Running, maker: Maker) -> str:
        parts = fleet()
        mark = thumbprint(parts.hub.certificate)
        entry = sign(payload, parts.hub.key, content_type=content_type, thumbprint=mark)
        told = json.loads(receipt_over(hub, maker, statement_of(maker, 1, 1), [1]))
        with hub.ledger.appending([Entry("verdict", "a", entry)], NOW) as grown:
            path = hub.ledger.inclusion_in(grown.first_index, grown)
            batch = hub.ledger.inclusion_in(1, grown)
        told["checkpoint"] = grown.note
        told["verdict"] = {
            "entry": base64.b64encode(entry).decode(),
            "leaf_index": grown.first_index,
            "proof": [base64.b64encode(part).decode() for part in path],
        }
        told["batches"][0]["proof"] = [base64.b64encode(part).decode() for part in batch]
        return json.dumps(told)

    return make


def _another_devices_batch(hub: Running, maker: Maker) -> str:
    other = fleet().maker("b")
    ack, _ = hub.send(other, other.next())
    assert ack is not None
    parts = fleet()
    statement = {**statement_of(maker, 1, 1), "inputs": [link(other.sent[0].manifest).hex()]}
    entry = sign_verdict(statement, parts.hub.key, parts.hub.certificate)
    certificates = [
        certificate_bytes(other),
        parts.hub.certificate.public_bytes(Encoding.DER),
    ]
    return log_verdict(hub, entry, {ack.leaf_index: other.sent[0].manifest}, certificates)


def _a_first_batch_with_a_past(hub: Running, maker: Maker) -> str:
    """The hub logs a first batch that claims to continue another; an honest one never would."""
    other = replace(maker, sequence=0, previous=bytes(31) + b"\x01", sent=[])
    other.next()
    with hub.ledger.appending([Entry("batch", "a", other.sent[0].manifest)], NOW) as grown:
        index = grown.first_index
    parts = fleet()
    entry = sign_verdict(statement_of(other, 1, 1), parts.hub.key, parts.hub.certificate)
    certificates = [certificate_bytes(maker), parts.hub.certificate.public_bytes(Encoding.DER)]
    return log_verdict(hub, entry, {index: other.sent[0].manifest}, certificates)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_of_a_device_with_a_hubs_name, IdentityError),
        (_without_the_hubs_certificate, IdentityError),
        (_by_a_foreign_hub, IdentityError),
        (_with_the_certificate_of_another_key, TrustError),
        (_another_devices_batch, IdentityError),
        (_a_first_batch_with_a_past, LedgerError),
        (_over([1, 2, 4]), LedgerError),
        (_over([2, 1]), LedgerError),
        (_over([1, 1]), LedgerError),
        (_over_a_gap_that_is_counted, LedgerError),
        (_over_two_histories, LedgerError),
        (_over_nothing, LedgerError),
        (_stating(first_sequence=2), LedgerError),
        (_stating(last_sequence=400), LedgerError),
        (_stating(inputs=[]), LedgerError),
        (_stating(inputs=None), LedgerError),
        (_stating(device="b"), IdentityError),
        (_stating(device=None), Error),
        (_lacking("device"), Error),
        (_lacking("inputs"), Error),
        (_lacking("first_sequence"), Error),
        (_lacking("last_sequence"), Error),
        (_a_payload_of(b"no json"), DecodeError),
        (_a_payload_of(b"[1]"), DecodeError),
        (_a_payload_of(b"\xff"), DecodeError),
        (_a_payload_of(b"[" * 100_000), DecodeError),
        (_a_payload_of(b"{}", "text/plain"), DecodeError),
    ],
)
def test_a_made_up_receipt_is_refused(
    running: tuple[Running, Maker], make: Callable[[Running, Maker], str], kind: type[Error]
) -> None:
    text = make(*running)
    with pytest.raises(kind):
        check(text)


def test_a_receipt_proves_nothing_under_other_roots(receipt: str) -> None:
    with pytest.raises(IdentityError):
        check_receipt(receipt, Roots(authority().certificate), fleet().note_key)
    other = NoteKey.of(ORIGIN, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(LedgerError):
        check_receipt(receipt, fleet().roots, other)


def test_two_receipts_cannot_be_mixed(running: tuple[Running, Maker], receipt: str) -> None:
    hub, maker = running
    other = json.loads(receipt_over(hub, maker, statement_of(maker, 1, 2), range(1, 3)))
    told = json.loads(receipt)
    for name in ("checkpoint", "verdict", "batches", "statement"):
        with pytest.raises(REFUSED):
            check(json.dumps({**told, name: other[name]}))
