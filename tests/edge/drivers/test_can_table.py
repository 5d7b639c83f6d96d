"""Our DBC is made of the table, and other tools read from it what we mean."""

import re
from importlib import resources
from pathlib import Path

import cantools.database
import pytest

from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.can_messages import encode_pack
from cellwarden.errors import DecodeError
from edge.carried import frame


def test_the_dbc_that_ships_is_the_table() -> None:
    shipped = resources.files("cellwarden.edge.drivers").joinpath("cellwarden.dbc").read_text()
    assert shipped == table.write_dbc()


def test_cantools_alone_reads_the_same_numbers() -> None:
    database = cantools.database.load_string(table.write_dbc(), "dbc")
    sent = {message.number: message for message in encode_pack(frame(), 7)}
    current = database.decode_message(0x234, sent[0x234].data)
    assert current["current_ampere"] == pytest.approx(12.3)
    assert current["message_count"] == 7
    cells = next(message for message in encode_pack(frame(), 7) if message.number == 0x250)
    assert database.decode_message(0x250, cells.data)["cell_voltage_volt_1"] == pytest.approx(3.651)


def test_identifiers_are_eleven_bits_and_each_is_used_once() -> None:
    numbers = [message.number for message in table.MESSAGES]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 0x800


def test_the_checksum_is_sae_j1850() -> None:
    # Check value of CRC-8/SAE-J1850 over "123456789": the first two bytes are our identifier.
    assert table.checksum(0x3132, b"3456789") == 0x4B


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 9])
def test_a_frame_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        table.unseal(0x250, data)


def test_the_page_lists_every_identifier() -> None:
    page = (Path(__file__).parents[3] / "docs" / "drivers.md").read_text()
    listed = {int(number, 16) for number in re.findall(r"0x(2[0-9a-f]{2})", page)}
    listed |= set(range(0x232, 0x237))  # a range on the page
    assert {message.number for message in table.MESSAGES} <= listed
