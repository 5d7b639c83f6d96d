"""What every message between edge and hub keeps: bits, one encoding, and no error of Python's."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cellwarden.domain import Frames
from cellwarden.errors import DataError, TrustError
from cellwarden.hub.rows import Accepted, read_batches, write_batches
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import Opener, to_cbor
from cellwarden.wire import (
    FIRST_PREVIOUS,
    Content,
    Notes,
    decode_columns,
    encode_columns,
    make_manifest,
)
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


@pytest.mark.parametrize("name", list(_columns_in_other_words()))
def test_columns_have_one_accepted_encoding(name: str) -> None:
    other = _columns_in_other_words()[name]
    assert other != encode_columns(frames())
    with pytest.raises(DataError):
        decode_columns(other)
