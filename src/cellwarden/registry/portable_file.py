"""The file of a portable model: canonical CBOR of plain values and arrays; nothing in it can run.

Rules
- The SHA-256 of the bytes is checked before a byte is decoded, their number before that.
- Whatever foreign bytes hold, the answer is a whole model or a `DecodeError`.
- Arrays are little-endian, float64 or int64, with their shape.
- Equal models give equal bytes, and bytes that are not those a model would give are refused.
"""

import dataclasses
from typing import Any, Final, Literal

import cbor2
import msgspec
import numpy as np

from cellwarden.errors import DataError, DecodeError, SealError, UsageError
from cellwarden.health.learner import Prepared
from cellwarden.health.portable import (
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
from cellwarden.registry.artefact import digest
from cellwarden.registry.card import Source

__all__ = [
    "LARGEST_BYTES",
    "PORTABLE_FORMAT",
    "Kind",
    "Label",
    "decode_portable",
    "encode_portable",
]

PORTABLE_FORMAT: Final = "cellwarden-portable-1"
LARGEST_BYTES: Final = 16 * 2**20

Kind = Literal["soh", "life", "soc", "other"]

_PARTS: Final = {
    one.__name__.lower(): one
    for one in (Layer, Line, Net, Nets, Pair, Prepared, Process, Spread, Trees)
}
_NAMES: Final = {one: name for name, one in _PARTS.items()}
_TYPES: Final = {
    "<f8": (np.dtype("<f8"), np.float64),
    "<i8": (np.dtype("<i8"), np.int64),
}
_WRONG: Final = (KeyError, TypeError, ValueError, AttributeError, EOFError, ArithmeticError)


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """What a portable model is for, what it was made from, how good it is.

    `target` is in `unit`; `column_units` are those of the columns in their order, or empty where
    none is stated. A source names the cells that were learnt from, with the digest of what was
    taken from each, or "". A score is a name, which says the cells and the unit, and a number.
    `facts` are a card's other lines, each with its name.
    """

    name: str
    kind: Kind
    target: str
    unit: str
    algorithm: str = ""
    column_units: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    licence: str = ""
    scores: tuple[tuple[str, float], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not all(np.isfinite(score) for _, score in self.scores):
            raise DataError("a score is no number", hint="Leave it out.")


def encode_portable(model: Portable, label: Label) -> bytes:
    """The file of a portable model. [bytes]

    Raises:
        UsageError: units are given, but not one for each column; or it is too large to be read.
    """
    if label.column_units and len(label.column_units) != len(model.columns):
        raise UsageError(
            f"{len(label.column_units)} units for {len(model.columns)} columns",
            hint="Give each column its unit, or none.",
        )
    content = cbor2.dumps(
        {
            "format": PORTABLE_FORMAT,
            "label": dataclasses.asdict(label),
            "columns": list(model.columns),
            "prepared": _pack(model.prepared),
            "logarithmic": model.logarithmic,
            "half_width": model.half_width,
            "coverage": model.coverage,
        },
        canonical=True,
    )
    if len(content) > LARGEST_BYTES:
        raise UsageError(
            f"a portable model of {len(content)} bytes",
            hint=f"At most {LARGEST_BYTES} are read; make it with flat=True, or learn less rows.",
        )
    return content


def decode_portable(content: bytes, expected_digest: str) -> tuple[Portable, Label]:
    """Portable model and label of a file whose digest is known.

    Raises:
        SealError: the bytes are not those the digest was taken of.
        DecodeError: the digest holds but the bytes are no portable model.
    """
    if len(content) > LARGEST_BYTES:
        raise DecodeError(
            f"portable model of {len(content)} bytes", hint=f"At most {LARGEST_BYTES} are read."
        )
    if (found := digest(content)) != expected_digest:
        raise SealError(
            f"portable model has digest {found[:12]}, not {expected_digest[:12]}",
            hint="Fetch the file again; it was changed or is incomplete.",
        )
    try:
        value = cbor2.loads(content)
        if value["format"] != PORTABLE_FORMAT:
            raise ValueError(f"format {value['format']!r}, not {PORTABLE_FORMAT}")
        label = msgspec.convert(value["label"], Label)
        model = Portable(
            columns=msgspec.convert(value["columns"], tuple[str, ...]),
            prepared=_unpack(value["prepared"]),
            logarithmic=value["logarithmic"],
            half_width=value["half_width"],
            coverage=value["coverage"],
        )
        if encode_portable(model, label) != content:
            raise ValueError("not the bytes that this model would give")
    # Whatever a decoder or a constructor finds wrong with foreign values is one fault here.
    except (cbor2.CBORError, msgspec.MsgspecError, DataError, UsageError, *_WRONG) as error:
        raise DecodeError(
            f"portable model cannot be read: {error}", hint="Make the file again."
        ) from error
    return model, label


def _pack(value: Any) -> Any:
    """An array, a part, several of them or a plain value, for CBOR."""
    if isinstance(value, np.ndarray):
        kind = "<f8" if value.dtype.kind == "f" else "<i8"
        return {
            "type": kind,
            "shape": list(value.shape),
            "data": np.ascontiguousarray(value).astype(kind).tobytes(),
        }
    if (name := _NAMES.get(type(value))) is not None:
        # A portable preparation fills gaps, always: that is not said again.
        names = (one.name for one in dataclasses.fields(value) if one.name != "takes_missing")
        return {"part": name, **{one: _pack(getattr(value, one)) for one in names}}
    return [_pack(one) for one in value] if isinstance(value, tuple) else value


def _unpack(value: Any) -> Any:
    """What was packed; constructors check that it is of the kind they need."""
    if isinstance(value, list):
        return tuple(_unpack(one) for one in value)
    if not isinstance(value, dict):
        return value
    if "part" in value:
        parts = {name: _unpack(one) for name, one in value.items() if name != "part"}
        return _PARTS[msgspec.convert(value["part"], str)](**parts)
    shape = msgspec.convert(value["shape"], tuple[int, ...])
    stored, used = _TYPES[msgspec.convert(value["type"], str)]
    return np.frombuffer(value["data"], dtype=stored).astype(used).reshape(shape)
