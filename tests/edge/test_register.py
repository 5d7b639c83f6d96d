import numpy as np
import pytest

from cellwarden.edge.drivers import register
from cellwarden.edge.drivers.pec import pec15
from cellwarden.errors import DecodeError


def test_a_command_is_code_and_checksum_and_its_data_come_farthest_chip_first() -> None:
    assert register.command(register.ADCV).hex() == "0360f46c"
    near, far = bytes(6), bytes(range(6))
    sent = register.command(register.CONFIGURE, [near, far])
    assert sent == bytes.fromhex("00013d6e") + far + pec15(far) + near + pec15(near)
    assert register.parse_command(sent) == (register.CONFIGURE, [near, far])


@pytest.mark.parametrize(
    "message", [b"", b"\x03\x60", b"\x03\x60\xf4\x6d", b"\x03\x60\xf4\x6c\x00"]
)
def test_what_is_no_command_is_refused(message: bytes) -> None:
    with pytest.raises(DecodeError):
        register.parse_command(message)


def test_the_counter_goes_round_without_coming_back_to_zero() -> None:
    counter = np.array([0, 1, 1022, 1023])
    assert register.after_counts(counter, 0).tolist() == [0, 1, 1022, 1023]
    assert register.after_counts(counter, 1).tolist() == [1, 2, 1023, 1]
    assert register.after_counts(counter, 1024).tolist() == [1, 2, 1023, 1]


def test_a_short_reply_is_a_silent_chip_and_a_long_one_is_cut() -> None:
    code = register.STATUS
    rows = register.frames(code, np.array([[1, 2, 3], [4, 5, 6]]), np.array([7, 8])).tobytes()
    for reply in (rows, rows + b"\x00\x01"):
        read = register.check([code], [reply], 2)
        assert read.whole.all()
        assert read.values[0].tolist() == [[1, 2, 3], [4, 5, 6]]
        assert read.counter[0].tolist() == [7, 8]
    read = register.check([code], [rows[: register.FRAME_BYTES]], 2)
    assert read.silent[0].tolist() == [False, True]
    assert read.whole[0].tolist() == [True, False]


def test_the_answer_to_another_question_or_at_another_port_is_not_whole() -> None:
    code, other = register.CELL_GROUPS[:2]
    rows = register.frames(other, np.zeros((1, 3), dtype=np.uint16), np.array([1])).tobytes()
    assert not register.check([code], [rows], 1).whole.any()
    assert register.check([other], [rows], 1).whole.all()
    assert not register.check([other], [rows], 1, port=1).whole.any()
