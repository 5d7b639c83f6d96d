from dataclasses import dataclass

import numpy as np
import pytest

from cellwarden.edge.drivers.disturb import Add, Delay, Drop, Flip, Hold, Repeat, Replace, When


@dataclass(frozen=True)
class Sent:
    wire: str = "board"
    request: bytes = b""
    second: float = 5.0


def test_bits_are_inverted_from_the_highest_of_the_first_byte_on() -> None:
    assert Flip("board", (0, 15, 99))(Sent(), b"\x00\x00") == b"\x80\x01"


def test_only_the_wire_the_time_and_the_command_that_are_meant_are_disturbed() -> None:
    when = When(4.0, 6.0)
    flip = Flip("chain", (0,), when, code=0x0004)
    for sent, changed in (
        (Sent("chain", b"\x00\x04\x07\xc2"), True),
        (Sent("chain", b"\x00\x06\x9a\x94"), False),
        (Sent("board", b"\x00\x04\x07\xc2"), False),
        (Sent("chain", b"\x00\x04\x07\xc2", 3.9), False),
        (Sent("chain", b"\x00\x04\x07\xc2", 6.0), False),
    ):
        assert (flip(sent, b"\x00") != b"\x00") == changed
    assert Drop("board", when)(Sent(), b"x") is None
    assert Drop("board", when)(Sent(second=7.0), b"x") == b"x"


def test_the_last_answer_before_is_given_to_each_request_again() -> None:
    repeat = Repeat("chain", When(5.0))
    for second, content, expected in (
        (4.0, b"a1", b"a1"),
        (5.0, b"a2", b"a1"),
        (9.0, b"a3", b"a1"),
    ):
        assert repeat(Sent("chain", b"ask", second), content) == expected
    assert repeat(Sent("chain", b"other"), b"b") == b"b"


def test_answers_come_late_in_their_order() -> None:
    late = Delay("board", 2)
    assert [late(Sent(), bytes([count])) for count in range(4)] == [None, None, b"\x00", b"\x01"]


def test_raw_values_are_replaced_moved_and_held() -> None:
    codes = {"cell": np.array([[10, 20], [30, 40]]), "current_ampere": np.array(5)}
    Replace("cell", 7, (1, 0))(codes, 0.0)
    Replace("current_ampere", -9)(codes, 0.0)
    Add("cell", 3, (0, 1))(codes, 0.0)
    assert codes["cell"].tolist() == [[10, 23], [7, 40]]
    assert codes["current_ampere"] == -9
    drift = Add("cell", 0, (0, 0), When(0.0), code_per_hour=100.0)
    drift(codes, 1800.0)
    assert codes["cell"][0, 0] == 60
    hold = Hold("cell", (0, 0), When(10.0))
    hold(codes, 9.0)
    codes["cell"][0, 0] = 61
    hold(codes, 10.0)
    codes["cell"][0, 0] = 62
    hold(codes, 11.0)
    assert codes["cell"][0, 0] == 61


@pytest.mark.parametrize("second", [0.0, 10.0])
def test_outside_its_time_nothing_is_changed(second: float) -> None:
    codes = {"cell": np.array([1, 2])}
    Replace("cell", 9, (0,), When(5.0, 6.0))(codes, second)
    Add("cell", 9, (0,), When(5.0, 6.0))(codes, second)
    assert codes["cell"].tolist() == [1, 2]
