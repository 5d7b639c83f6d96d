"""The file of an identified circuit: canonical CBOR of tables and a card; nothing in it can run.

Rules
- As of a portable model (`registry.portable_file`): digest first, little-endian float64 with its
  shape, equal circuits give equal bytes, and whatever foreign bytes hold is a `DecodeError`.
"""

import dataclasses
from typing import Any, Final

import cbor2
import msgspec
import numpy as np

from cellwarden.errors import DataError, DecodeError, SealError
from cellwarden.health.soc_model import POINT_COUNT, TABLE_COUNT, CellModel
from cellwarden.registry.artefact import digest
from cellwarden.registry.portable_file import Label

__all__ = ["CIRCUIT_FORMAT", "decode_circuit", "encode_circuit"]

CIRCUIT_FORMAT: Final = "cellwarden-circuit-1"
_LARGEST_BYTES: Final = 2**20
_WRONG: Final = (KeyError, TypeError, ValueError, AttributeError, EOFError, ArithmeticError)


def encode_circuit(model: CellModel, label: Label) -> bytes:
    """The file of a circuit. [bytes]"""
    fields = {one.name: getattr(model, one.name) for one in dataclasses.fields(CellModel)}
    return cbor2.dumps(
        {
            "format": CIRCUIT_FORMAT,
            "label": dataclasses.asdict(label),
            "circuit": {
                name: _pack(value) if isinstance(value, np.ndarray) else float(value)
                for name, value in fields.items()
            },
        },
        canonical=True,
    )


def decode_circuit(content: bytes, expected_digest: str) -> tuple[CellModel, Label]:
    """Circuit and card of a file whose digest is known.

    Raises:
        SealError: the bytes are not those the digest was taken of.
        DecodeError: the digest holds but the bytes are no circuit.
    """
    if len(content) > _LARGEST_BYTES:
        raise DecodeError(
            f"circuit of {len(content)} bytes", hint=f"At most {_LARGEST_BYTES} are read."
        )
    if (found := digest(content)) != expected_digest:
        raise SealError(
            f"circuit has digest {found[:12]}, not {expected_digest[:12]}",
            hint="Fetch the file again; it was changed or is incomplete.",
        )
    try:
        value = cbor2.loads(content)
        if value["format"] != CIRCUIT_FORMAT:
            raise ValueError(f"format {value['format']!r}, not {CIRCUIT_FORMAT}")
        label = msgspec.convert(value["label"], Label)
        model = _circuit(value["circuit"])
        if encode_circuit(model, label) != content:
            raise ValueError("not the bytes that this circuit would give")
    # Whatever a decoder or a constructor finds wrong with foreign values is one fault here.
    except (cbor2.CBORError, msgspec.MsgspecError, DataError, *_WRONG) as error:
        raise DecodeError(
            f"circuit cannot be read: {error}", hint="Make the file again."
        ) from error
    return model, label


def _circuit(value: dict[str, object]) -> CellModel:
    names = {one.name: one.type is float for one in dataclasses.fields(CellModel)}
    if set(value) != set(names):
        raise ValueError(f"{', '.join(sorted(set(value) ^ set(names)))}: missing or too many")
    told: dict[str, Any] = {
        name: msgspec.convert(value[name], float) if plain else _unpack(value[name])
        for name, plain in names.items()
    }
    model = CellModel(**told)
    knots = len(model.knot_celsius)
    shapes = {
        "table": (knots, POINT_COUNT, TABLE_COUNT), "knot_celsius": (knots,), "lag_second": (3,),
        "drift_volt": (knots,), "reading_volt": (knots,), "widening": (2, knots),
    }  # fmt: skip
    for name, shape in shapes.items():
        if getattr(model, name).shape != shape:
            raise ValueError(f"{name} is {getattr(model, name).shape}, not {shape}")
    if not all(np.isfinite(np.asarray(part)).all() for part in told.values()):
        raise ValueError("a number that is not finite")
    if knots < 1 or (np.diff(model.knot_celsius) <= 0).any() or not model.capacity_ah > 0:
        raise ValueError("temperatures that do not rise, or no capacity")
    return model


def _pack(array: np.ndarray) -> dict[str, object]:
    return {"shape": list(array.shape), "data": np.ascontiguousarray(array).astype("<f8").tobytes()}


def _unpack(value: object) -> np.ndarray:
    parts = msgspec.convert(value, dict[str, object])
    shape = msgspec.convert(parts["shape"], tuple[int, ...])
    data = msgspec.convert(parts["data"], bytes)
    return np.frombuffer(data, dtype="<f8").astype(np.float64).reshape(shape)
