"""The models of a device: a grant, and where it is used here the file, in the folder `models`.

`NAME.grant` is what an administrator has signed; `NAME.cbor` or `NAME.onnx` the model itself. A
model whose grant or file does not hold is not used; what was wrong with it is told, and the
device goes on with what is built in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden.domain import Finding, Severity
from cellwarden.errors import DataError, Error, SealError, UnavailableError, UsageError
from cellwarden.health import Model
from cellwarden.health.portable import Portable
from cellwarden.health.soc_model import CellModel
from cellwarden.registry.artefact import decode, digest
from cellwarden.registry.card import check
from cellwarden.registry.circuit_file import decode_circuit
from cellwarden.registry.portable_file import Label, decode_portable
from cellwarden.trust.identity import Roots
from cellwarden.trust.keys import write_durably
from cellwarden.wire.grant import Grant, open_grant

__all__ = ["KNOWN_COLUMNS", "Models", "OnnxRows", "Regressor", "install_model", "load_models"]

_FOLDER: Final = "models"
_LARGEST_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Regressor:
    """A model from a row of named columns to a number, with low and high where it has them."""

    columns: tuple[str, ...]
    target: str
    rows: "Portable | OnnxRows"

    def tell(self, row: np.ndarray) -> tuple[float, ...]:
        """The number, or number, low and high, for one row. [unit of the target]"""
        return tuple(float(part[0]) for part in self.rows.tell(row[None, :]))


class OnnxRows:
    """An ONNX file as `registry.encode_onnx` writes it, run by ONNX Runtime on one thread."""

    def __init__(self, content: bytes) -> None:
        """Load it.

        Raises:
            UsageError: ONNX Runtime is not installed.
            DataError: it is no model that this runtime takes.
        """
        try:
            import onnxruntime  # noqa: PLC0415  an extra, when it is used
        except ImportError as error:
            raise UsageError(
                "ONNX Runtime is not installed", hint="pip install 'cellwarden[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own errors have no common ancestor
            raise DataError(f"no ONNX model: {error}", hint="Export it again.") from error
        self._names = [one.name for one in self._session.get_outputs()]
        self.facts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def tell(self, features: np.ndarray) -> tuple[np.ndarray, ...]:
        """Prediction and, where there is an interval, low and high. [unit of the target]"""
        told: list[Any] = self._session.run(self._names, {"features": features})
        return tuple(np.asarray(part)[:, 0] for part in told)


@dataclass(frozen=True, slots=True)
class Models:
    """What may be used, and what was wrong with the rest."""

    soc: CellModel | None = None
    soh: "Model | Regressor | None" = None
    anomaly: Regressor | None = None
    obeyed: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()

    def findings(self, unix_time_second: float) -> list[Finding]:
        """What was wrong with models that were to be used, as people look at it."""
        return [
            Finding(
                kind="model",
                severity=Severity.WARNING,
                signal="",
                unix_time_second=unix_time_second,
                message=f"a model is not used: {trouble}"[:200],
            )
            for trouble in self.troubles
        ]


def install_model(folder: Path, name: str, grant: bytes, content: bytes | None, end: str) -> None:
    """Put a model in place; the grant last, without which it is nothing."""
    place = folder / _FOLDER
    if content is not None:
        write_durably(place / f"{name}{end}", content)
    write_durably(place / f"{name}.grant", grant)


def load_models(folder: Path, roots: Roots, now: float) -> Models:
    """The models of a device's folder, which bears its name.

    Of several for one purpose it is the one granted last.
    """
    place = folder / _FOLDER
    granted: list[tuple[Grant, Path]] = []
    troubles: list[str] = []
    for path in sorted(place.glob("*.grant")):
        try:
            granted.append((open_grant(_read(path), folder.name, roots, now), path))
        except Error as error:
            troubles.append(f"{path.name}: {error}")
    granted.sort(key=lambda one: one[0].issued_unix_time_second)
    used: dict[str, Any] = {}
    names: dict[str, str] = {}
    for grant, path in granted:
        if grant.purpose == "order":
            continue
        try:
            used[grant.purpose] = _load(grant, path)
            names[grant.purpose] = grant.name
        except Error as error:
            troubles.append(f"{path.stem}: {error}")
    obeyed = frozenset(grant.digest for grant, _ in granted if grant.purpose == "order")
    return Models(**used, obeyed=obeyed, names=names, troubles=tuple(troubles))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(f"{path} is too large", hint=f"At most {_LARGEST_BYTES} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"{path}: {error.strerror}", hint="Install it again.") from error


def _load(grant: Grant, beside: Path) -> object:
    onnx = beside.with_suffix(".onnx")
    if onnx.exists():
        return _checked(grant, _from_onnx(grant, _read(onnx)))
    content = _read(beside.with_suffix(".cbor"))
    if grant.purpose == "soc":
        return decode_circuit(content, grant.digest)[0]
    try:
        return _checked(grant, _from_portable(*decode_portable(content, grant.digest)))
    except DataError:
        if grant.purpose != "soh":
            raise
    model, card = decode(content, grant.digest)
    check(card)
    return model


def _from_onnx(grant: Grant, content: bytes) -> Regressor:
    import json  # noqa: PLC0415  with ONNX only

    if digest(content) != grant.digest:
        raise SealError(
            f"the file has digest {digest(content)[:12]}, not {grant.digest[:12]}",
            hint="Install it again; it was changed or is incomplete.",
        )
    rows = OnnxRows(content)
    try:
        columns = tuple(str(name) for name in json.loads(rows.facts["columns"]))
        return Regressor(columns, rows.facts["target"], rows)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            "the ONNX file does not name its columns", hint="Export it again."
        ) from error


def _from_portable(model: Portable, label: Label) -> Regressor:
    trimmed = model.trimmed()
    return Regressor(trimmed.columns, label.target, trimmed)


KNOWN_COLUMNS: Final[dict[str, Sequence[str]]] = {
    "soh": (
        "window_fraction",
        "upper_fraction",
        "plateau_fraction",
        "taper_fraction",
        "taper_hour",
        "rate_per_hour",
        "temperature_celsius",
        "top_voltage_volt",
        "low_voltage_volt",
    ),
    "anomaly": ("current_ampere", "soc_fraction", "temperature_celsius"),
}


def _checked(grant: Grant, model: Regressor) -> Regressor:
    """A model that this device can feed."""
    if grant.purpose not in KNOWN_COLUMNS:
        raise UsageError(f"no table is used for {grant.purpose}", hint="Grant a circuit.")
    unknown = set(model.columns) - set(KNOWN_COLUMNS[grant.purpose])
    if unknown:
        raise UsageError(
            f"it wants {', '.join(sorted(unknown))}, which no device here has",
            hint=f"For {grant.purpose} there are {', '.join(KNOWN_COLUMNS[grant.purpose])}.",
        )
    return model
