"""A description that contradicts itself is refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.datasets import Protocol, Split, catalogue
from cellwarden.datasets.description import parse
from cellwarden.errors import DataError, UsageError

HEAD = """
name = "made"
short = "Made"
title = "A set"
what = "Two files"
licence = "CC0-1.0"
citation = "Nobody"
page = "https://example.org/"
copied_from = "nowhere"
"""
DIGEST = "0" * 64


def part(path: str = "a.csv", digest: str = DIGEST, more: str = "") -> str:
    return (
        f'[[parts]]\npath = "{path}"\nwhat = "a table"\nbyte_count = 3\nsha256 = "{digest}"\n{more}'
    )


def protocol(train: str, test: str, more: str = "") -> str:
    return f"""
[[protocols]]
name = "one"
by = "cell"
how = "train and test"
source = "nobody"
part = "a.csv"
[[protocols.splits]]
name = "train"
{train}
[[protocols.splits]]
name = "test"
{test}
{more}
"""


SOUND = 'count = 2\nmembers = ["c{1..2}"]'


def test_a_sound_description_is_read_with_its_ranges_written_out() -> None:
    text = HEAD + part() + protocol(SOUND, 'count = 3\nmembers = ["c{8..10}"]')
    known = parse(text.encode(), "made.toml")
    assert known.protocol().splits[1].members == ("c8", "c9", "c10")
    assert known.part("a") is known.part("a.csv") is known.part()
    assert list(known.protocol().folds()) == [("test", ("c1", "c2"), ("c8", "c9", "c10"))]


def test_with_leave_one_out_each_split_is_tested_on_all_the_others() -> None:
    splits = tuple(Split(name, 1, (name,)) for name in "abc")
    one = Protocol("loo", "cell", "how", "source", splits, leave_one_out=True)
    assert list(one.folds()) == [
        ("a", ("b", "c"), ("a",)),
        ("b", ("a", "c"), ("b",)),
        ("c", ("a", "b"), ("c",)),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (part() + protocol(SOUND, 'count = 1\nmembers = ["c2"]'), "c2 is in train and in test"),
        (part() + protocol(SOUND, 'count = 2\nmembers = ["d", "d"]'), "names a member twice"),
        (part() + protocol(SOUND, 'count = 2\nmembers = ["d"]'), "has 1 members, not 2"),
        (part() + protocol(SOUND, "count = 2"), "has 0 members, not 2"),
        (part() + protocol(SOUND, 'count = 1\nmembers = ["d{9..1}"]'), "is no range"),
        (part() + protocol(SOUND, 'count = 1\nmembers = ["e"]\npart = "b.csv"'), "not there"),
        (part("../a.csv"), "not a path below"),
        (part("/a.csv"), "not a path below"),
        (part(digest="abc"), "no SHA-256"),
        (part(digest=DIGEST.replace("0", "A")), "no SHA-256"),
        (part(more='address = "http://example.org/a"'), "begins with https"),
        (part() + part(), "two parts have one path"),
        (part(more='colour = "red"'), "unknown field"),
        ("", "missing required field `parts`"),
    ],
)
def test_a_description_that_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        parse((HEAD + text).encode(), "made.toml")
    assert "made.toml" in str(caught.value)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_description_give_a_data_error_and_nothing_else(junk: bytes) -> None:
    with pytest.raises(DataError):
        parse(junk, "junk.toml")


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=2, max_size=4))
def test_splits_are_taken_exactly_when_no_member_is_in_two(groups: list[set[str]]) -> None:
    def make() -> Protocol:
        splits = (Split(f"s{n}", len(g), tuple(sorted(g))) for n, g in enumerate(groups))
        return Protocol("one", "cell", "how", "source", tuple(splits))

    if sum(map(len, groups)) == len(set().union(*groups)):
        assert {m for split in make().splits for m in split.members} == set().union(*groups)
    else:
        with pytest.raises(ValueError, match="is in s"):
            make()


@pytest.mark.parametrize(
    "ask",
    [
        lambda known: known.part("nothing"),
        lambda known: known.part("c"),
        lambda known: known.part(),
        lambda known: known.protocol("nothing"),
    ],
)
def test_a_name_that_fits_nothing_or_several_is_a_wrong_call(
    ask: Callable[[object], object],
) -> None:
    text = HEAD + part("x/c.csv") + part("y/c.csv") + protocol(SOUND, "held_back = true")
    known = parse(text.replace('part = "a.csv"', 'part = "x/c.csv"').encode(), "made.toml")
    with pytest.raises(UsageError) as caught:
        ask(known)
    assert caught.value.hint


def test_no_fold_of_any_shipped_protocol_tests_on_what_it_trains_on() -> None:
    folds = [fold for s in catalogue().values() for p in s.protocols for fold in p.folds()]
    assert len(folds) > 30
    for name, train, test in folds:
        assert not set(train) & set(test), name
