"""Notes of a batch: one encoding, and nothing in them that a store or a page cannot take."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Finding, Severity
from cellwarden.errors import DataError, DecodeError
from cellwarden.hub.rows import Accepted, write_batches
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import to_cbor
from cellwarden.wire import FIRST_PREVIOUS, Content, Notes, encode_columns, make_manifest
from cellwarden.wire.notes import PackNote
from trust.making import NOW, fleet, frames

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=10)
)
NONSENSE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
)

FINDING = ["bounds", 2, "voltage_volt", NOW, "too high", 0, {"limit": 4.2}]
OUTCOME = ["replayed", "spiffe://x/hub/a", 7, bytes(32), "no", NOW, 1]
PACK = {"chemistry": "NMC", "nominal_capacity_ah": 2.5, "series_count": 4, "source": "label"}


def _keepable(store: Store, notes: Notes) -> None:
    """What a hub does with notes: rows of the store and JSON for the pages."""
    told = frames(1)
    content = Content(bytes(16), encode_columns(told), notes.encode())
    manifest = make_manifest(told, content, device="d", boot=1, sequence=1, previous=FIRST_PREVIOUS)
    with store.transaction():
        write_batches(store, [Accepted(b"x", manifest, content, told, notes, NOW)], 0)
    for row in store.rows("SELECT evidence FROM finding"):
        json.loads(row[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_whatever_notes_are_accepted_the_store_takes_them() -> None:
    # A device that is believed must not be able to make the transaction of all others fail.
    wild = SCALARS | st.sampled_from([1e400, -math.inf, math.nan, 2**63, -(2**63) - 1, 10**400])
    with TemporaryDirectory() as folder, fleet().store(Path(folder)) as store:

        @given(st.integers(0, 7), wild, st.sampled_from(list(PACK)), wild)
        @settings(max_examples=100, deadline=None)
        def law(place: int, value: object, name: str, other: object) -> None:
            finding = [*FINDING]
            if place < len(finding):
                finding[place] = value
            else:
                finding[-1] = {"limit": value}
            outcome = [*OUTCOME]
            outcome[place % len(outcome)] = value
            tried = (
                {"findings": [finding]},
                {"pack": {**PACK, name: other}},
                {"orders": [outcome]},
            )
            for told in tried:
                try:
                    notes = Notes.decode(to_cbor(told))
                except DataError:
                    continue
                _keepable(store, notes)

        law()


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"findings": []},
        {"findings": 5},
        {"pack": None},
        {"pack": {**PACK, "series_count": True}},
        {"pack": {**PACK, "colour": "red"}},
        {"findings": [[*FINDING, 1]]},
        {"findings": [[FINDING[0], True, *FINDING[2:]]]},
        {"findings": [[FINDING[0], 3, *FINDING[2:]]]},
        {"findings": [[*FINDING[:6], {"limit": math.nan}]]},
        {"findings": [[*FINDING[:6], {"limit": 4}]]},
        {"findings": [[*FINDING[:6], {5: 4.2}]]},
        {"orders": []},
        {"orders": {}},
        {"orders": [["loved", *OUTCOME[1:]]]},
        {"orders": [[*OUTCOME[:2], True, *OUTCOME[3:]]]},
        {"orders": [[*OUTCOME[:2], -1, *OUTCOME[3:]]]},
        {"orders": [[*OUTCOME[:3], bytes(31), *OUTCOME[4:]]]},
        {"orders": [[*OUTCOME[:4], "x" * 201, *OUTCOME[5:]]]},
        {"orders": [[*OUTCOME, 1]]},
    ],
    ids=str,
)
def test_notes_that_would_not_come_back_the_same_are_refused(told: object) -> None:
    with pytest.raises(DecodeError):
        Notes.decode(to_cbor(told))


@given(NONSENSE)
def test_notes_have_one_accepted_encoding(told: object) -> None:
    data = to_cbor(told)
    try:
        notes = Notes.decode(data)
    except DataError:
        return
    assert notes.encode() == data


def test_a_device_whose_evidence_is_missing_is_heard_all_the_same() -> None:
    evidence = {"reading": math.nan, "limit": 4.2, "rate": math.inf}
    finding = Finding("missing", Severity.WARNING, "voltage_volt", NOW, "none", evidence=evidence)
    heard = Notes.decode(Notes(PackNote(None, math.nan, 1), (finding,)).encode())
    assert heard.findings[0].evidence == {"limit": 4.2}
    assert heard.pack == PackNote(None, None, 1)
