from dataclasses import replace

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, DecodeError, SealError, UsageError
from cellwarden.health.learner import Prepared
from cellwarden.health.portable import (
    Body,
    Layer,
    Line,
    Net,
    Nets,
    Pair,
    Portable,
    Process,
    Spread,
    Trees,
)
from cellwarden.registry import Label, Source, decode_portable, digest, encode_portable

LABEL = Label(
    name="soh.test",
    kind="soh",
    target="capacity over nominal",
    unit="1",
    algorithm="a test",
    column_units=("V", "", "°C"),
    sources=(Source("set", "CC BY 4.0", "who, when", (("cell 1", "00ff"), ("cell 2", ""))),),
    licence="CC BY 4.0",
    scores=(("rmse on cells left out [1]", 0.0125),),
)


def number(low: float = -1e6, high: float = 1e6) -> st.SearchStrategy[float]:
    return st.floats(low, high)


def array(*shape: int, low: float = -1e6) -> st.SearchStrategy[np.ndarray]:
    count = int(np.prod(shape))
    drawn = st.lists(number(low), min_size=count, max_size=count)
    return drawn.map(lambda values: np.array(values, dtype=np.float64).reshape(shape))


def line(columns: int) -> st.SearchStrategy[Line]:
    return st.builds(Line, array(columns), number())


def process(columns: int) -> st.SearchStrategy[Process]:
    spread = st.builds(
        Spread,
        array(2, 4, low=0.1),
        array(2),
        array(2, 3),
        array(2, 3, 3).map(np.tril),
        number(),
        number(0.1),
    )
    return st.builds(
        Process, array(3, columns), array(columns), array(columns), array(2, low=0.1), array(2, 3),
        number(), number(), st.none() | spread,
    )  # fmt: skip


@st.composite
def trees(draw: st.DrawFn, columns: int) -> Trees:
    roots, left, right = [], [], []
    for _ in range(draw(st.integers(1, 4))):
        start = len(left)
        roots.append(start)
        left.append(start)
        right.append(start)
        for _ in range(draw(st.integers(0, 3))):  # a leaf becomes a split with two leaves
            leaves = [k for k in range(start, len(left)) if left[k] == k]
            at = draw(st.sampled_from(leaves))
            left[at], right[at] = len(left), len(left) + 1
            left += [len(left), len(left) + 1]
            right += [len(right), len(right) + 1]
    count = len(left)
    feature = draw(st.lists(st.integers(0, columns - 1), min_size=count, max_size=count))
    return Trees(
        columns, np.array(roots), np.array(feature), draw(array(count)), np.array(left),
        np.array(right), draw(array(count)), draw(number()), draw(number(0.5)), draw(st.booleans()),
        draw(st.booleans()),
    )  # fmt: skip


def nets(columns: int) -> st.SearchStrategy[Nets]:
    layers = st.tuples(
        st.builds(Layer, array(columns, 2), array(2)), st.builds(Layer, array(2, 1), array(1))
    )
    net = st.builds(Net, layers, st.sampled_from(["relu", "tanh"]))
    members = st.lists(net, min_size=1, max_size=2).map(tuple)
    return st.builds(Nets, members, number(), number(), st.none() | number())


@st.composite
def models(draw: st.DrawFn) -> Portable:
    count = draw(st.integers(1, 3))
    pair = st.builds(Pair, line(count), process(count))
    kinds: list[st.SearchStrategy[Body]] = [
        line(count), process(count), pair, trees(count), nets(count),
    ]  # fmt: skip
    low = draw(array(count))
    least, width = draw(number()), draw(number(0.0))
    prepared = Prepared(
        taken=np.array(draw(st.permutations(range(3)))[:count], dtype=np.int64),
        fill=draw(array(count)),
        low=low,
        high=low + draw(number(0.0)),
        centre=draw(array(count)),
        spread=draw(array(count, low=0.1)),
        least=least,
        most=least + width,
        fitted=draw(st.one_of(kinds)),
    )
    around = draw(st.sampled_from([(None, None), (0.25, 0.9), (0.0, 0.5)]))
    return Portable(("a", "b", "c"), prepared, draw(st.booleans()), *around)


def plain() -> Portable:
    three = np.arange(3.0)
    prepared = Prepared(
        np.arange(3), three, three - 1, three + 1, three, three + 1, -1.0, 1.0, Line(three, 0.5)
    )
    return Portable(("a", "b", "c"), prepared, half_width=0.1, coverage=0.9)


def bodies() -> list[Body]:
    draw = np.random.default_rng(0)
    line, one = Line(draw.normal(size=3), 0.5), draw.normal(size=(2, 3))
    spread = Spread(
        np.ones((1, 4)), np.ones(1), np.ones((1, 2)), np.tril(draw.normal(size=(1, 2, 2))), 1.0, 0.1
    )
    process = Process(one, np.ones(3), one[0], np.ones(1), np.ones((1, 2)), 0.0, 1.0, spread)
    trees = Trees(
        3,
        np.array([0]),
        np.array([2, 0, 0]),
        one[0],
        np.array([1, 1, 2]),
        np.array([2, 1, 2]),
        one[1],
    )
    net = Net((Layer(one.T, np.ones(2)), Layer(np.ones((2, 1)), np.ones(1))), "tanh")
    return [line, process, Pair(line, process), trees, Nets((net, net), 0.0, 1.0, 0.1)]


CONTENT = encode_portable(plain(), LABEL)
CONTENTS = [
    encode_portable(replace(plain(), prepared=replace(plain().prepared, fitted=body)), LABEL)
    for body in bodies()
]


@settings(max_examples=40)
@given(models())
def test_a_model_comes_back_as_it_was(model: Portable) -> None:
    content = encode_portable(model, LABEL)
    again, label = decode_portable(content, digest(content))
    assert label == LABEL
    assert encode_portable(again, label) == content
    rows = np.array([[1.0, np.nan, -3.0], [1e9, 0.0, np.inf]])
    with np.errstate(all="ignore"):  # numbers of any size overflow; both must do so alike
        before, after = model.predict(rows), again.predict(rows)
    assert np.array_equal(before.mean, after.mean, equal_nan=True)
    assert (before.std is None) == (after.std is None)


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 7))
def test_any_flipped_bit_is_refused(at: int, bit: int) -> None:
    altered = bytearray(CONTENT)
    altered[at] ^= 1 << bit
    with pytest.raises(SealError):
        decode_portable(bytes(altered), digest(CONTENT))


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_bit_under_its_own_digest_is_a_whole_model_or_one_kind_of_error(
    data: st.DataObject,
) -> None:
    content = bytearray(data.draw(st.sampled_from(CONTENTS)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        model, label = decode_portable(bytes(content), digest(bytes(content)))
    except DecodeError:
        return
    assert encode_portable(model, label) == content


@settings(max_examples=300)
@given(st.binary(max_size=300) | st.integers(0, len(CONTENT) - 1).map(lambda n: CONTENT[:n]))
def test_bytes_that_are_no_model_give_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_portable(content, digest(content))


ODD: list[object] = [
    None, True, -1, 2**70, 1.5, float("nan"), float("inf"), "x", b"x", [], [1], {},
    {"part": "line"}, {"part": []},
    {"type": "<f8", "shape": [-1], "data": b""}, {"type": "O", "shape": [1], "data": bytes(8)},
    {"type": ",f8", "shape": [1], "data": bytes(8)},
    {"type": "<i8", "shape": [2**40, 2**40], "data": b""},
    {"type": "<f8", "shape": [1], "data": "12345678"},
    cbor2.CBORTag(30, [1, 2]), cbor2.CBORTag(1, 0),
]  # fmt: skip


@settings(max_examples=400)
@given(st.data())
def test_a_part_missing_or_of_another_kind_gives_one_kind_of_error(data: st.DataObject) -> None:
    value = cbor2.loads(data.draw(st.sampled_from(CONTENTS)))
    place = value
    for _ in range(data.draw(st.integers(0, 4))):
        inner = sorted(key for key in place if isinstance(place[key], dict))
        if inner:
            place = place[data.draw(st.sampled_from(inner))]
    key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = ODD[data.draw(st.integers(0, len(ODD) - 1))]
    content = cbor2.dumps(value, canonical=True)
    try:
        model, label = decode_portable(content, digest(content))
    except DecodeError:
        return
    assert encode_portable(model, label) == content  # another model, as whole


def test_bytes_that_say_the_same_in_another_way_are_refused() -> None:
    loose = cbor2.dumps(dict(reversed(cbor2.loads(CONTENT).items())))
    with pytest.raises(DecodeError, match="not the bytes"):
        decode_portable(loose, digest(loose))
    longer = CONTENT + b"\0"
    with pytest.raises(DecodeError):
        decode_portable(longer, digest(longer))


def test_a_file_beyond_the_largest_is_neither_written_nor_read() -> None:
    huge = bytes(16 * 2**20 + 1)
    with pytest.raises(DecodeError, match="bytes"):
        decode_portable(huge, digest(huge))
    rows = 1500
    spread = Spread(
        np.ones((1, 4)), np.ones(1), np.zeros((1, rows)), np.zeros((1, rows, rows)), 0.0, 1.0
    )
    big = Process(
        np.zeros((rows, 3)), np.ones(3), np.ones(3), np.ones(1), np.zeros((1, rows)), 0.0, 1.0,
        spread,
    )  # fmt: skip
    model = replace(plain(), prepared=replace(plain().prepared, fitted=big))
    with pytest.raises(UsageError, match="bytes"):
        encode_portable(model, LABEL)


def test_a_label_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="2 units for 3 columns"):
        encode_portable(plain(), replace(LABEL, column_units=("V", "A")))
    with pytest.raises(DataError, match="score"):
        replace(LABEL, scores=(("rmse", float("nan")),))
