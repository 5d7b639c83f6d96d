"""The models that come with the package: read, verified, and let through by their card."""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from cellwarden.domain import Series
from cellwarden.errors import TrustError, UsageError
from cellwarden.health import Model, Verdict
from cellwarden.health import assess as assess_with
from cellwarden.health.portable import Portable
from cellwarden.health.soc_model import CellModel
from cellwarden.registry.artefact import decode
from cellwarden.registry.artefact import digest as digest_of
from cellwarden.registry.card import Card, check
from cellwarden.registry.circuit_file import decode_circuit
from cellwarden.registry.portable_file import Label, decode_portable

__all__ = [
    "DIGESTS",
    "assess",
    "load",
    "load_card",
    "open_circuit",
    "open_portable",
    "read_circuit",
    "read_model",
    "read_portable",
    "shipped_names",
]

DIGESTS = "SHA256SUMS"


def read_model(folder: Traversable, name: str) -> tuple[Model, Card]:
    """A model and its card from a folder that holds `name.cbor` and `SHA256SUMS`.

    Raises:
        UsageError: there is no such model, or its card does not let it be served.
        TrustError: the digests do not name it, or its bytes are not those.
        DataError: it cannot be decoded.
    """
    model, card = decode(*_listed(folder, name))
    check(card)
    return model, card


def _listed(folder: Traversable, name: str) -> tuple[bytes, str]:
    """The bytes of a file and the digest that the folder's list has for it."""
    file, digests = folder / f"{name}.cbor", folder / DIGESTS
    if not (file.is_file() and digests.is_file()):
        raise UsageError(
            f"no model named {name!r}", hint="`cellwarden models list` names the shipped models."
        )
    expected = _digests(folder)
    if file.name not in expected:
        raise TrustError(f"{DIGESTS} does not name {file.name}", hint="Install the package again.")
    return file.read_bytes(), expected[file.name]


def _digests(folder: Traversable) -> dict[str, str]:
    rows = [row.split() for row in (folder / DIGESTS).read_text("utf-8").splitlines()]
    return {row[1]: row[0] for row in rows if len(row) == 2}  # noqa: PLR2004  digest, file


def shipped_names(folder: Traversable | None = None) -> tuple[str, ...]:
    """The models that come with the package, by name. [text]"""
    place = folder or resources.files("cellwarden.health") / "models"
    return tuple(name.removesuffix(".cbor") for name in _digests(place))


def read_circuit(name: str, folder: Traversable | None = None) -> tuple[CellModel, Label, str]:
    """A shipped circuit with its card and digest.

    Raises:
        UsageError: there is no such model.
        TrustError: the digests do not name it, or its bytes are not those.
        DataError: it is no circuit.
    """
    content, digest = _listed(folder or resources.files("cellwarden.health") / "models", name)
    return *decode_circuit(content, digest), digest


def open_circuit(file: Path, expected_digest: str = "") -> tuple[CellModel, Label, str]:
    """A circuit of a file with its card and digest; without one given, the file's own.

    Raises:
        UsageError: there is no such file.
        TrustError: its digest is not the one given.
        DataError: it is no circuit.
    """
    content, found = _content(file)
    return *decode_circuit(content, expected_digest or found), found


def read_portable(name: str, folder: Traversable | None = None) -> tuple[Portable, Label, str]:
    """A shipped portable model with its card and digest.

    Raises:
        UsageError: there is no such model.
        TrustError: the digests do not name it, or its bytes are not those.
        DataError: it cannot be decoded.
    """
    content, digest = _listed(folder or resources.files("cellwarden.health") / "models", name)
    return *decode_portable(content, digest), digest


def open_portable(file: Path, expected_digest: str = "") -> tuple[Portable, Label, str]:
    """A portable model of a file with its card and digest; without one given, the file's own.

    Raises:
        UsageError: there is no such file.
        TrustError: its digest is not the one given.
        DataError: it is no portable model.
    """
    content, found = _content(file)
    return *decode_portable(content, expected_digest or found), found


def _content(file: Path) -> tuple[bytes, str]:
    if not file.is_file():
        raise UsageError(f"{file} is not there", hint="Name a model's file, or a shipped model.")
    content = file.read_bytes()
    return content, digest_of(content)


@cache
def _shipped(name: str) -> tuple[Model, Card]:
    return read_model(resources.files("cellwarden.health") / "models", name)


def load(name: str = "soh") -> Model:
    """A shipped model, verified; read once a process."""
    return _shipped(name)[0]


def load_card(name: str = "soh") -> Card:
    """The card of a shipped model, verified with it."""
    return _shipped(name)[1]


def assess(
    series: Series, *, nominal_capacity_ah: float | None = None, model: Model | None = None
) -> Verdict:
    """Health, life and fade of a cell by the shipped model, or by the one given.

    Raises:
        UsageError: the nominal capacity is not a positive number.
    """
    chosen = load() if model is None else model
    return assess_with(series, chosen, nominal_capacity_ah=nominal_capacity_ah)
