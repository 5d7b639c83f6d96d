"""What every message between edge and hub keeps: bits, one encoding, and no error of Python's."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cbor2
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cellwarden.domain import Finding, Frames, Severity
from cellwarden.errors import DataError, DecodeError, SealError, TrustError, UsageError
from cellwarden.hub.rows import Accepted, read_batches, write_batches
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import Opener, from_cbor, open_signed, sign, to_cbor
from cellwarden.trust.ledger import Checkpoint, NoteKey
from cellwarden.wire import (
    BATCH_TYPE,
    FIRST_PREVIOUS,
    Ack,
    Content,
    Manifest,
    Message,
    Notes,
    Refusal,
    decode_columns,
    decode_reply,
    encode_columns,
    encode_reply,
    link,
    make_manifest,
    open_content,
    open_manifest,
)
from cellwarden.wire.notes import PackNote
from cellwarden.wire.verdict import check_receipt
from trust.making import NOW, Maker, fleet, frames

REFUSED = (DataError, TrustError)

FLOAT32_BITS = st.integers(0, 2**32 - 1) | st.sampled_from(
    [
        0x00000000,  # 0
        0x80000000,  # -0
        0x7FC00000,  # the NaN that NumPy writes
        0xFFC00000,  # the NaN that a processor makes of 0 / 0
        0x7F800001,  # a signalling NaN
        0x7FFFFFFF,  # a NaN with a payload
        0x7F800000,  # infinity
        0xFF800000,
        0x00000001,  # the smallest number
        0x807FFFFF,
    ]
)


@cache
def maker() -> Maker:
    return fleet().maker("pack-1")


@cache
def opener() -> Opener:
    return Opener(fleet().seal_secret)


@st.composite
def any_frames(draw: st.DrawFn) -> Frames:
    """Frames of any bits, any width (none included), with or without each optional sensor."""
    count = draw(st.integers(1, 8))

    def column(shape: int | tuple[int, int]) -> np.ndarray:
        return draw(arrays.arrays(np.uint32, shape, elements=FLOAT32_BITS)).view(np.float32)

    def optional() -> np.ndarray | None:
        return column(count) if draw(st.booleans()) else None

    times = draw(st.lists(st.floats(-1e12, 1e12, allow_nan=False), min_size=count, max_size=count))
    return Frames(
        unix_time_second=np.array(sorted(times), dtype=np.float64),
        voltage_volt=column(count),
        current_ampere=column(count),
        cell_voltage_volt=column((count, draw(st.integers(0, 4)))),
        cell_temperature_celsius=column((count, draw(st.integers(0, 4)))),
        ambient_temperature_celsius=optional(),
        humidity_fraction=optional(),
        soc_fraction=optional(),
        soc_std_fraction=optional(),
    )


def bits(column: np.ndarray) -> bytes:
    """A column's bits, with the one zero and the one NaN that a signed column has."""
    plain = np.where(np.isnan(column), np.array(np.nan, dtype=column.dtype), column)
    return np.where(plain == 0, np.zeros((), dtype=column.dtype), plain).tobytes()


@given(any_frames())
def test_columns_come_back_bit_for_bit(told: Frames) -> None:
    heard = decode_columns(encode_columns(told))
    assert list(heard.columns()) == list(told.columns())
    for name, column in told.columns().items():
        found = heard.columns()[name]
        assert (found.shape, found.dtype) == (column.shape, column.dtype)
        assert found.tobytes() == bits(column), name
    assert encode_columns(heard) == encode_columns(told)


@given(any_frames())
def test_encoding_leaves_its_input_alone(told: Frames) -> None:
    before = {name: column.tobytes() for name, column in told.columns().items()}
    encode_columns(told)
    assert {name: column.tobytes() for name, column in told.columns().items()} == before


def _kept(store: Store, told: list[Frames], first: int) -> list[bytes]:
    """What the store gives back of batches written in one transaction."""
    batches = []
    for part in told:
        content = Content(bytes(16), encode_columns(part), b"")
        manifest = make_manifest(
            part, content, device="d", boot=1, sequence=1, previous=FIRST_PREVIOUS
        )
        heard = decode_columns(content.columns)
        batches.append(Accepted(b"signed", manifest, content, heard, Notes(), NOW))
    with store.transaction():
        write_batches(store, batches, first)
    found = read_batches(store, first, first + len(told) - 1)
    return [encode_columns(found[first + n]) for n in range(len(told))]


def test_rows_from_the_store_are_the_very_bytes_that_were_signed() -> None:
    with TemporaryDirectory() as folder, fleet().store(Path(folder)) as store:
        written: list[bytes] = []

        @settings(max_examples=60, deadline=None)
        @given(st.lists(any_frames(), min_size=1, max_size=4))
        def law(told: list[Frames]) -> None:
            signed = [encode_columns(part) for part in told]
            assert _kept(store, told, len(written)) == signed
            written.extend(signed)

        law()
        store.checkpoint()  # the engine compresses what it moves into the file
        found = read_batches(store, 0, len(written) - 1)
        assert [encode_columns(found[n]) for n in range(len(written))] == written


def _repeated(*patterns: int) -> np.ndarray:
    """Long runs of few values: what column compression does most to."""
    return np.repeat(np.array(patterns, dtype=np.uint32), 700).view(np.float32)


@pytest.mark.parametrize(
    "patterns",
    [
        (0x00000000, 0x80000000),
        (0x80000000,),
        (0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF),
        (0x3F800000, 0x80000000, 0x00000000, 0x40000000),
        (0x7FC00000, 0x80000000, 0x3F800000),
        (0x00000001, 0x80000001),
    ],
    ids=["both zeros", "minus zero", "four NaNs", "zeros and ones", "all three", "denormal"],
)
def test_a_compressed_store_gives_back_the_very_bytes(tmp_path: Path, patterns: tuple[int]) -> None:
    column = _repeated(*patterns)
    told = Frames(
        unix_time_second=np.where(np.arange(len(column)) % 2, -0.0, 0.0),
        voltage_volt=column,
        current_ampere=np.roll(column, 1),
        cell_voltage_volt=np.stack([column, column[::-1]], axis=1),
        cell_temperature_celsius=column[:, None],
        ambient_temperature_celsius=column,
        soc_fraction=column[::-1],
    )
    with fleet().store(tmp_path) as store:
        _kept(store, [told] * 5, 0)
    with fleet().store(tmp_path) as store:
        store.checkpoint()
        found = read_batches(store, 0, 4)
    assert {encode_columns(part) for part in found.values()} == {encode_columns(told)}


# --- one encoding, and what is refused ------------------------------------------------------------


def _columns_in_other_words() -> dict[str, bytes]:
    told = frames()
    plain = encode_columns(told)
    items = cbor2.loads(plain)
    backwards = dict(reversed(items.items()))

    def with_bits(name: str, pattern: int) -> bytes:
        shape, inner = items[name].value
        data = np.frombuffer(inner.value, dtype=np.uint32).copy()
        data[0] = pattern
        array = cbor2.CBORTag(40, [shape, cbor2.CBORTag(85, data.tobytes())])
        return to_cbor({**items, name: array})

    return {
        "in another order": cbor2.dumps(backwards),
        "with something behind": plain + b"\x00",
        "with a minus zero": with_bits("voltage_volt", 0x80000000),
        "with a NaN of another kind": with_bits("cell_voltage_volt", 0xFFC00000),
        "in big-endian": to_cbor(
            {
                **items,
                "voltage_volt": cbor2.CBORTag(
                    40, [[len(told)], cbor2.CBORTag(81, told.voltage_volt.astype(">f4").tobytes())]
                ),
            }
        ),
        "with a column of another name": to_cbor({**items, "colour": items["voltage_volt"]}),
        "without current": to_cbor({k: v for k, v in items.items() if k != "current_ampere"}),
        "as a list": to_cbor(list(items.values())),
        "with a huge shape": to_cbor(
            {**items, "voltage_volt": cbor2.CBORTag(40, [[2**62], cbor2.CBORTag(85, b"")])}
        ),
    }


@pytest.mark.parametrize("shape", [[True], [1.0], [-1], [0], [2], [1 << 32], ["1"], [1, 1], [], 1])
def test_a_shape_that_is_not_that_of_its_numbers_is_refused(shape: object) -> None:
    items = cbor2.loads(encode_columns(frames(1)))
    data = items["voltage_volt"].value[1]
    changed = to_cbor({**items, "voltage_volt": cbor2.CBORTag(40, [shape, data])})
    with pytest.raises(DecodeError):
        decode_columns(changed)


@pytest.mark.parametrize("shape", [[-1, -3], [3, 1], [1, True], [1, 2], [0, 3]])
def test_a_grid_that_is_not_that_of_its_numbers_is_refused(shape: object) -> None:
    items = cbor2.loads(encode_columns(frames(1)))
    data = items["cell_voltage_volt"].value[1]
    changed = to_cbor({**items, "cell_voltage_volt": cbor2.CBORTag(40, [shape, data])})
    with pytest.raises(DataError):
        decode_columns(changed)


def test_a_batch_without_frames_is_not_made() -> None:
    told = frames(1).rows(0, 0)
    with pytest.raises(UsageError):
        maker().manifest(told, maker().content(told))


@pytest.mark.parametrize("name", list(_columns_in_other_words()))
def test_columns_have_one_accepted_encoding(name: str) -> None:
    other = _columns_in_other_words()[name]
    assert other != encode_columns(frames())
    with pytest.raises(DataError):
        decode_columns(other)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def hear(body: bytes, sender: Maker) -> tuple[Frames, Notes]:
    """What a hub does with bytes before it looks at its store."""
    message = Message.decode(body)
    signed, manifest = open_manifest(message.manifest)
    signed.verify(sender.key.public_key())
    content = open_content(message.sealed, message.manifest, manifest, opener())
    return decode_columns(content.columns), Notes.decode(content.notes)


@cache
def body() -> bytes:
    sender = replace(maker())
    told = frames(2, cells=1, sensors=1)
    pack = PackNote("NMC", 2.5, 1, "label")
    finding = Finding("bounds", Severity.ALARM, "voltage_volt", NOW, "too high", 0, {"limit": 4.2})
    return sender.next(told, Notes(pack, (finding,))).encode()


def test_a_message_is_heard_as_it_was_told() -> None:
    told, notes = hear(body(), maker())
    assert encode_columns(told) == encode_columns(frames(2, cells=1, sensors=1))
    assert notes.findings[0].evidence == {"limit": 4.2}
    assert notes.pack == PackNote("NMC", 2.5, 1, "label")


@given(st.integers(0, 8 * len(body()) - 1))
@settings(max_examples=400, deadline=None)
def test_any_flipped_bit_of_a_message_is_refused(bit: int) -> None:
    with pytest.raises(REFUSED):
        hear(flipped(body(), bit), maker())


@given(st.integers(0, len(body()) - 1), st.binary(max_size=4))
@settings(deadline=None)
def test_a_message_cut_short_or_overwritten_is_refused(place: int, other: bytes) -> None:
    for changed in (body()[:place], body()[:place] + other + body()[place + len(other) :]):
        if changed != body():
            with pytest.raises(REFUSED):
                hear(changed, maker())


@pytest.mark.parametrize(
    "other",
    [
        lambda m, s: b"\x9f" + to_cbor(m) + to_cbor(s) + b"\xff",
        lambda m, s: b"\x98\x02" + to_cbor(m) + to_cbor(s),
        lambda m, s: b"\x82\x5b" + len(m).to_bytes(8, "big") + m + to_cbor(s),
        lambda m, s: to_cbor([m, s]) + b"\xf6",
        lambda m, s: to_cbor(cbor2.CBORTag(55799, [m, s])),
        lambda m, s: to_cbor([m, s, b""]),
        lambda m, s: to_cbor([m + b"\x00", s]),
        lambda m, s: to_cbor([s, m]),
    ],
    ids=["indefinite", "long count", "long length", "more", "tagged", "three", "tail", "swapped"],
)
def test_a_message_has_one_accepted_encoding(other: Callable[[bytes, bytes], bytes]) -> None:
    message = Message.decode(body())
    changed = other(message.manifest, message.sealed)
    with pytest.raises(REFUSED):
        hear(changed, maker())


# --- random bytes and well-formed nonsense into every decoder -------------------------------------

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

DECODERS: dict[str, Callable[[bytes], object]] = {
    "Message.decode": Message.decode,
    "open_signed": open_signed,
    "open_manifest": open_manifest,
    "decode_columns": decode_columns,
    "Notes.decode": Notes.decode,
    "decode_reply": decode_reply,
    "NoteKey.parse": lambda data: NoteKey.parse(data.decode("utf-8", "surrogateescape")),
    "Checkpoint.open": lambda data: Checkpoint.open(
        data.decode("utf-8", "surrogateescape"), fleet().note_key
    ),
    "check_receipt": lambda data: check_receipt(data, fleet().roots, fleet().note_key),
}


@pytest.mark.parametrize("name", list(DECODERS))
@given(data=st.binary(max_size=200) | NONSENSE.map(to_cbor) | NONSENSE.map(repr).map(str.encode))
@settings(deadline=None)
def test_a_decoder_gives_a_value_or_refuses(name: str, data: bytes) -> None:
    try:
        DECODERS[name](data)
    except REFUSED:
        return


@given(
    st.dictionaries(st.sampled_from(Manifest.__slots__), SCALARS),
    st.sampled_from(Manifest.__slots__),
    SCALARS,
)
@settings(max_examples=300)
def test_a_manifest_with_any_field_wrong_is_refused_or_sound(
    fields: dict[str, object], name: str, value: object
) -> None:
    good = from_cbor(open_signed(Message.decode(body()).manifest).payload, "it")
    for told in (fields, {**good, name: value}, {**good, "more": value}):
        signed = sign(to_cbor(told), maker().key, content_type=BATCH_TYPE, thumbprint=bytes(32))
        try:
            manifest = Manifest.of(open_signed(signed))
        except DataError:
            continue
        assert manifest.sequence >= 1
        assert manifest.boot >= 1
        assert len(manifest.previous) == len(manifest.columns) == len(manifest.notes) == 32
        assert manifest.first_unix_time_second <= manifest.last_unix_time_second


def test_a_manifest_of_another_kind_is_no_manifest() -> None:
    payload = open_signed(Message.decode(body()).manifest).payload
    signed = sign(payload, maker().key, content_type="text/plain", thumbprint=bytes(32))
    with pytest.raises(DecodeError):
        Manifest.of(open_signed(signed))


@given(NONSENSE, NONSENSE)
def test_a_reply_is_understood_or_refused(ack: object, refusal: object) -> None:
    try:
        heard, refused = decode_reply(to_cbor({"ack": ack, "refusal": refusal}))
    except DataError:
        return
    assert decode_reply(encode_reply(heard, refused)) == (heard, refused)


def test_a_reply_comes_back_as_it_was_given() -> None:
    ack = Ack(7, 8, "a head", (bytes(32), b"\x01" * 32))
    for reply in (
        (ack, None),
        (None, Refusal("SealError", "no", "look", 3)),
        (ack, Refusal("x", "", "")),
        (None, None),
    ):
        assert decode_reply(encode_reply(*reply)) == reply


# --- the seal and what it was signed for ----------------------------------------------------------


def test_content_of_another_manifest_is_refused() -> None:
    sender = replace(maker())
    first, second = sender.next(), sender.next()
    with pytest.raises(SealError):
        hear(Message(second.manifest, first.sealed).encode(), sender)


@pytest.mark.parametrize("part", ["salt", "columns", "notes"])
def test_other_content_under_a_genuine_manifest_is_refused(part: str) -> None:
    sender = replace(maker())
    told = frames()
    content = sender.content(told)
    manifest = sender.manifest(told, content)
    lie = {"salt": bytes(16), "columns": encode_columns(frames(seed=1)), "notes": b"\xa0"}
    message = sender.message(replace(content, **{part: lie[part]}), manifest)
    with pytest.raises(SealError):
        hear(message.encode(), sender)


def _sealed(packed: bytes) -> tuple[Message, Manifest]:
    sender = replace(maker())
    told = frames(1)
    manifest = sender.manifest(told, sender.content(told))
    signed = sender.sign(manifest)
    return Message(signed, sender.sealer.seal(packed, link(signed))), manifest


def test_what_unpacks_to_more_than_a_batch_may_hold_is_refused_unread() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes((64 << 20) + 1))
    message, manifest = _sealed(bomb)
    with pytest.raises(DecodeError, match="unpacks to"):
        open_content(message.sealed, message.manifest, manifest, opener())


@given(st.binary(max_size=100) | NONSENSE.map(to_cbor))
@settings(max_examples=50, deadline=None)
def test_a_seal_over_nonsense_is_refused(plain: bytes) -> None:
    for packed in (plain, zstandard.ZstdCompressor().compress(plain)):
        message, manifest = _sealed(packed)
        with pytest.raises(REFUSED):
            open_content(message.sealed, message.manifest, manifest, opener())
