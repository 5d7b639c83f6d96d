"""The served model as a value: one fit for everybody, and for each training cell one without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cellwarden.domain import NotServed
from cellwarden.health.life import LifeFit
from cellwarden.health.soh import Fit, Limit

__all__ = ["FULL", "Model"]

FULL: Final = "full"


@dataclass(frozen=True, slots=True)
class Model:
    """What `assess` needs to know; the registry reads it from a verified file.

    `marks` leads from a charge of a training cell to that cell's name, `folds` from the name to
    the fit that never saw it. `chemistries` are those that the training records state.
    """

    name: str
    version: str
    digest: str
    full: Fit
    folds: Mapping[str, Fit]
    marks: Mapping[bytes, str]
    chemistries: tuple[str, ...]
    nominal: Limit
    life: LifeFit | NotServed

    def fit(self, fold: str) -> Fit:
        """The fit for a cell: its own fold, or the full one."""
        return self.full if fold == FULL else self.folds[fold]
