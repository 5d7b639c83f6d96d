"""The file of a model: canonical CBOR of plain values and arrays; nothing in it can run.

Rules
- The SHA-256 of the bytes is checked before a byte is decoded.
- Arrays are little-endian float64 with their shape; every length is checked.
- Equal models give equal bytes.
"""

import dataclasses
import hashlib
from typing import Any, Final

import cbor2
import msgspec
import numpy as np

from cellwarden.domain import NotServed
from cellwarden.errors import DecodeError, Error, SealError
from cellwarden.health import Model
from cellwarden.health.kernel import Curve
from cellwarden.health.life import LifeFit
from cellwarden.health.marks import MARK_BYTES
from cellwarden.health.soh import Fit, Limit
from cellwarden.registry.card import Card

__all__ = ["FORMAT", "decode", "digest", "encode"]

FORMAT: Final = "cellwarden-model-1"
_LARGEST_BYTES: Final = 4 * 2**20
_WRONG: Final = (KeyError, TypeError, ValueError, AttributeError, EOFError)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits. [text]"""
    return hashlib.sha256(content).hexdigest()


def encode(model: Model, card: Card) -> bytes:
    """The file of a model; the digest that either carries is left out. [bytes]"""
    told = dataclasses.asdict(card)
    del told["digest"]
    cells = sorted(model.folds)
    life = model.life
    return cbor2.dumps(
        {
            "format": FORMAT,
            "card": told,
            "name": model.name,
            "version": model.version,
            "full": _pack_fit(model.full),
            "folds": {cell: _pack_fit(model.folds[cell]) for cell in cells},
            "marks": {
                cell: b"".join(sorted(m for m, name in model.marks.items() if name == cell))
                for cell in cells
            },
            "chemistries": list(model.chemistries),
            "nominal": dataclasses.asdict(model.nominal),
            "life": {"reason": life.reason}
            if isinstance(life, NotServed)
            else {"factor": life.factor, "coverage": life.coverage},
        },
        canonical=True,
    )


def decode(content: bytes, expected_digest: str) -> tuple[Model, Card]:
    """Model and card of a file whose digest is known.

    Raises:
        SealError: the bytes are not those the digest was taken of.
        DecodeError: the digest holds but the bytes are no model of this format.
    """
    found = digest(content)
    if found != expected_digest:
        raise SealError(
            f"model file has digest {found[:12]}, not {expected_digest[:12]}",
            hint="Install the package again; the file was changed or is incomplete.",
        )
    if len(content) > _LARGEST_BYTES:
        raise DecodeError(
            f"model file has {len(content)} bytes", hint=f"At most {_LARGEST_BYTES} are read."
        )
    try:
        value = cbor2.loads(content)
        if value["format"] != FORMAT:
            raise DecodeError(
                f"model format {value['format']!r}, not {FORMAT}",
                hint="Use the version of Cellwarden that wrote it.",
            )
        card = msgspec.convert({**value["card"], "digest": found}, Card)
        return _model(value, found), card
    except Error:
        raise
    # Whatever a decoder or a constructor finds wrong with foreign values is one fault here.
    except (cbor2.CBORError, msgspec.MsgspecError, *_WRONG) as error:
        raise DecodeError(
            f"model file cannot be read: {error}", hint="Build it again with `make models`."
        ) from error


def _pack_fit(fit: Fit) -> dict[str, Any]:
    return {
        "features": list(fit.features),
        "inputs": _pack(fit.curve.inputs),
        "weights": _pack(fit.curve.weights),
        "curve_variance": fit.curve.curve_variance,
        "length": fit.curve.length,
        "reference": _pack(fit.reference),
        "limits": [dataclasses.asdict(limit) for limit in fit.limits],
        "reach": fit.reach,
        "half_width": fit.half_width,
        "coverage": fit.coverage,
        "cell_count": fit.cell_count,
    }


def _fit(value: dict[str, Any]) -> Fit:
    features = msgspec.convert(value["features"], tuple[str, ...])
    inputs = _unpack(value["inputs"], (-1, len(features)))
    return Fit(
        features=features,
        curve=Curve(
            inputs=inputs,
            weights=_unpack(value["weights"], (len(inputs),)),
            curve_variance=float(value["curve_variance"]),
            length=float(value["length"]),
        ),
        reference=_unpack(value["reference"], (len(features),)),
        limits=msgspec.convert(value["limits"], tuple[Limit, ...]),
        reach=float(value["reach"]),
        half_width=float(value["half_width"]),
        coverage=float(value["coverage"]),
        cell_count=int(value["cell_count"]),
    )


def _model(value: dict[str, Any], found: str) -> Model:
    if value["marks"].keys() != value["folds"].keys():
        raise ValueError("marks and folds are of different cells")
    marks = {
        joined[at : at + MARK_BYTES]: cell
        for cell, joined in value["marks"].items()
        for at in range(0, len(joined), MARK_BYTES)
    }
    life = value["life"]
    return Model(
        name=msgspec.convert(value["name"], str),
        version=msgspec.convert(value["version"], str),
        digest=found,
        full=_fit(value["full"]),
        folds={cell: _fit(fold) for cell, fold in value["folds"].items()},
        marks=marks,
        chemistries=msgspec.convert(value["chemistries"], tuple[str, ...]),
        nominal=msgspec.convert(value["nominal"], Limit),
        life=NotServed(msgspec.convert(life["reason"], str))
        if "reason" in life
        else LifeFit(float(life["factor"]), float(life["coverage"])),
    )


def _pack(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "data": array.astype("<f8").tobytes()}


def _unpack(value: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    flat = np.frombuffer(value["data"], dtype="<f8").astype(np.float64)
    if not np.all(np.isfinite(flat)):
        raise ValueError("an array holds a number that is not finite")
    return flat.reshape(msgspec.convert(value["shape"], tuple[int, ...])).reshape(shape)
