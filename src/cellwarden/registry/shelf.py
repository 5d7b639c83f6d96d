"""The models that come with the package: read, verified, and let through by their card."""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from cellwarden.domain import Series
from cellwarden.errors import TrustError, UsageError
from cellwarden.health import Model, Verdict
from cellwarden.health import assess as assess_with
from cellwarden.registry.artefact import decode
from cellwarden.registry.card import Card, check

__all__ = ["DIGESTS", "assess", "load", "load_card", "read_model"]

DIGESTS = "SHA256SUMS"


def read_model(folder: Traversable, name: str) -> tuple[Model, Card]:
    """A model and its card from a folder that holds `name.cbor` and `SHA256SUMS`.

    Raises:
        UsageError: there is no such model, or its card does not let it be served.
        TrustError: the digests do not name it, or its bytes are not those.
        DataError: it cannot be decoded.
    """
    file, digests = folder / f"{name}.cbor", folder / DIGESTS
    if not (file.is_file() and digests.is_file()):
        raise UsageError(
            f"no model named {name!r}", hint="The shipped models lie in cellwarden/health/models."
        )
    rows = [row.split() for row in digests.read_text("utf-8").splitlines()]
    expected = {row[1]: row[0] for row in rows if len(row) == 2}  # noqa: PLR2004  digest, file
    if file.name not in expected:
        raise TrustError(f"{DIGESTS} does not name {file.name}", hint="Install the package again.")
    model, card = decode(file.read_bytes(), expected[file.name])
    check(card)
    return model, card


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
