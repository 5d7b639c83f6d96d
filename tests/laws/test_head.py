"""Heads and ledger keys: what is signed is believed, and nothing near it."""

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, LedgerError, TrustError
from cellwarden.trust.ledger import (
    Checkpoint,
    NoteKey,
    sign_checkpoint,
)

REFUSED = (DataError, TrustError)


@cache
def key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


HEAD = Checkpoint("log.example/1", 5, bytes(range(32)))


def note() -> str:
    return sign_checkpoint(HEAD, key())


def mine() -> NoteKey:
    return NoteKey.of("log.example/1", key())


def test_a_signed_head_opens_under_its_key() -> None:
    assert Checkpoint.open(note(), mine()) == HEAD
    # A witness may have added its signature before or after ours (C2SP signed-note).
    other = "— witness.example zLM75QF1AAAA\n"
    body, _, ours = note().partition("\n\n")
    for text in (note() + other, f"{body}\n\n{other}{ours}"):
        assert Checkpoint.open(text, mine()) == HEAD


@given(st.integers(0, 10_000), st.integers(1, 127))
@settings(max_examples=400)
def test_no_changed_byte_of_a_head_is_believed(place: int, change: int) -> None:
    data = bytearray(note().encode())
    data[place % len(data)] ^= change
    text = bytes(data).decode("utf-8", "surrogateescape")
    try:
        head = Checkpoint.open(text, mine())
    except REFUSED:
        return
    assert head == HEAD  # what was changed stands outside of what is signed


def test_a_head_names_the_ledger_whose_key_signed_it() -> None:
    text = sign_checkpoint(replace(HEAD, origin="log.example/2"), key())
    ours = text.replace("— log.example/2", "— log.example/1")
    body, _, _ = text.partition("\n\n")
    signature = mine().identifier() + key().sign((body + "\n").encode())
    ours = f"{body}\n\n— log.example/1 {base64.b64encode(signature).decode()}\n"
    with pytest.raises(LedgerError):
        Checkpoint.open(ours, mine())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "log.example/1\n5\n\n— x y\n",
        "log.example/1\n05\n" + "A" * 43 + "=\n\n",
        "log.example/1\n-1\n" + "A" * 43 + "=\n\n",
        "log.example/1\n٥\n" + "A" * 43 + "=\n\n",
        "log.example/1\n" + "9" * 5000 + "\n" + "A" * 43 + "=\n\n",
        "log.example/1\n5\nAAAA\n\n",
        "log.example/1\n5\n!!!!\n\n",
        "\ud800\n5\n" + "A" * 43 + "=\n\n",
        "log.example/1\n5\n" + "A" * 43 + "=\n\ud800\n\n— log.example/1 AAAA\n",
    ],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(REFUSED):
        Checkpoint.open(text, mine())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("— ", "- "),
        lambda text: text.replace("— log.example/1", "— log.example/2"),
        lambda text: text.rsplit(" ", 1)[0] + " AAAA\n",
        lambda text: text.rsplit(" ", 1)[0] + " ????\n",
        lambda text: text.partition("\n\n")[0] + "\n\n",
        lambda text: text.replace("\n5\n", "\n6\n"),
        lambda text: text + "x",
        lambda text: text + "\n",
        lambda text: text + "a remark\n",
        lambda text: text[:-1],
        lambda text: text.replace("=\n", "\n"),
        lambda text: text + text.rpartition("\u2014")[0][-1:] + "\u2014 witness A===\n",
    ],
)
def test_a_head_without_its_signature_is_refused(change: Callable[[str], str]) -> None:
    changed = change(note())
    assert changed != note()
    with pytest.raises(REFUSED):
        Checkpoint.open(changed, mine())


def test_a_ledger_key_is_its_line_of_text() -> None:
    # The example of the C2SP signed-note specification, key and identifier.
    line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert NoteKey.parse(line).text() == line
    assert NoteKey.parse(mine().text()) == mine()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("+", "-", 1),
        lambda text: "a b" + text,
        lambda text: "x" + text,
        lambda text: text[:-4],
        lambda text: text + "AAAA",
        lambda text: text[:-1] + "!",
        lambda text: text.replace("+A", "+B"),
        lambda text: "\ud800" + text,
        lambda text: text[:0],
    ],
)
def test_a_ledger_key_whose_parts_contradict_is_refused(change: Callable[[str], str]) -> None:
    changed = change(mine().text())
    assert changed != mine().text()
    with pytest.raises(DataError):
        NoteKey.parse(changed)


@pytest.mark.parametrize(
    "lines",
    [
        ["05", base64.b64encode(bytes(32)).decode()],
        ["+5", base64.b64encode(bytes(32)).decode()],
        ["-5", base64.b64encode(bytes(32)).decode()],
        ["5_0", base64.b64encode(bytes(32)).decode()],
        ["5", base64.b64encode(bytes(31)).decode()],
        ["5", base64.b64encode(bytes(33)).decode()],
    ],
)
def test_a_signature_does_not_make_another_spelling_of_a_head_a_head(lines: list[str]) -> None:
    body = "\n".join(["log.example/1", *lines]) + "\n"
    signature = mine().identifier() + key().sign(body.encode())
    with pytest.raises(DataError):
        Checkpoint.open(f"{body}\n— log.example/1 {base64.b64encode(signature).decode()}\n", mine())


def test_the_bits_of_a_signature_line_that_nobody_reads_are_zero() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = note()
    place = text.rindex("=") - 1
    changed = text[:place] + letters[letters.index(text[place]) + 1] + text[place + 1 :]
    with pytest.raises(DataError):
        Checkpoint.open(changed, mine())
