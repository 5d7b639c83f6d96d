import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, Command
from cellwarden.edge.drivers.can_messages import decode_command, encode_command
from cellwarden.errors import DecodeError


@given(ampere=st.floats(0.0, 1e5))
def test_a_limit_never_grows_on_its_way(ampere: float) -> None:
    sent = list(encode_command(Command(CLOSED, ampere, ampere), 0))
    heard = decode_command(sent, 0)
    assert heard.high_charge_current_ampere <= ampere + 1e-5
    assert heard.high_charge_current_ampere > min(ampere, 6553.4) - 0.11


def test_half_a_command_is_none() -> None:
    sent = list(encode_command(Command(CLOSED, 1.0, 1.0), 0))
    with pytest.raises(DecodeError, match="a command without"):
        decode_command(sent[1:], 0)
