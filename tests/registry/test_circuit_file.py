"""A circuit is read back whole, and whatever else the bytes are is one kind of error."""

import cbor2
import numpy as np
import pytest

from cellwarden.errors import DecodeError, SealError
from cellwarden.health.soc_model import POINT_COUNT, TABLE_COUNT, CellModel
from cellwarden.registry.artefact import digest
from cellwarden.registry.circuit_file import decode_circuit, encode_circuit
from cellwarden.registry.portable_file import Label

LABEL = Label("circuit", "soc", "state of charge", "1", facts=(("what", "a test"),))


def circuit() -> CellModel:
    """Two temperatures, a linear open-circuit voltage, one resistance."""
    table = np.zeros((2, POINT_COUNT, TABLE_COUNT))
    table[:, :, 0] = np.linspace(3.0, 4.2, POINT_COUNT)
    table[:, :, 1] = 0.02
    return CellModel(
        capacity_ah=2.5,
        table=table,
        knot_celsius=np.array([0.0, 25.0]),
        lag_second=np.array([3.0, 30.0, 400.0]),
        transfer_ampere=0.9,
        hysteresis_rate=20.0,
        drift_volt=np.array([0.01, 0.005]),
        reading_volt=np.array([0.002, 0.001]),
        drift_second=300.0,
        correlation_second=200.0,
        load_ampere=-1.0,
        load_std_ampere=0.5,
        widening=np.ones((2, 2)),
    )


CONTENT = encode_circuit(circuit(), LABEL)


def test_a_circuit_is_read_back_whole() -> None:
    model, label = decode_circuit(CONTENT, digest(CONTENT))
    assert label == LABEL
    assert model.table.tolist() == circuit().table.tolist()
    assert model.knot_celsius.tolist() == [0.0, 25.0]
    assert encode_circuit(model, label) == CONTENT


def test_bytes_that_are_not_those_of_the_digest_are_refused_before_they_are_read() -> None:
    with pytest.raises(SealError):
        decode_circuit(CONTENT[:-1] + b"\0", digest(CONTENT))


@pytest.mark.parametrize("place", range(0, len(CONTENT), 97))
def test_a_flipped_byte_is_refused_even_with_its_own_digest(place: int) -> None:
    spoiled = bytearray(CONTENT)
    spoiled[place] ^= 0x55
    content = bytes(spoiled)
    try:
        decode_circuit(content, digest(content))
    except DecodeError:
        return
    # What is left is another circuit that is whole: a number in a table or a letter of the card.
    assert len(content) == len(CONTENT)


@pytest.mark.parametrize(
    "change",
    [
        {"knot_celsius": {"shape": [2], "data": np.array([25.0, 0.0]).tobytes()}},
        {"table": {"shape": [1, 1], "data": np.zeros(1).tobytes()}},
        {"capacity_ah": -1.0},
        {"lag_second": {"shape": [3], "data": np.full(3, np.nan).tobytes()}},
        {"widening": 3.0},
        {"widening": {"shape": [2], "data": np.ones(2).tobytes()}},
        {"more": 1.0},
    ],
)
def test_a_circuit_that_cannot_be_is_refused(change: dict) -> None:
    value = cbor2.loads(CONTENT)
    value["circuit"] |= change
    content = cbor2.dumps(value, canonical=True)
    with pytest.raises(DecodeError):
        decode_circuit(content, digest(content))


def test_another_format_and_too_many_bytes_are_refused() -> None:
    value = cbor2.loads(CONTENT) | {"format": "cellwarden-portable-1"}
    content = cbor2.dumps(value, canonical=True)
    with pytest.raises(DecodeError, match="format"):
        decode_circuit(content, digest(content))
    large = b"\0" * (2**20 + 1)
    with pytest.raises(DecodeError, match="bytes"):
        decode_circuit(large, digest(large))
