"""How each shipped model is made: from which cells of which set, by which algorithms."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cellwarden.datasets import describe
from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.candidates import CHARGE, PULSE
from cellwarden.health.early_life import CANDIDATES, REPEATS
from cellwarden.health.found import Found, Kind, pooled
from cellwarden.health.layouts import find
from cellwarden.health.learner import Algorithm
from cellwarden.health.own_table import Wish
from cellwarden.registry.making import Made, Origin, make

__all__ = ["RECIPES", "Recipe", "cells_of", "follow"]

_TABLES: Final = "unlicensed tables of CC BY sources"
_CHARGE: Final = (
    "Charges like those of the training cells: same make, same upper cut-off, the constant-current"
    " stretch below it and the constant voltage after it. Other makes have not been tried."
)


# Trees would take megabytes; support vectors of at most so many columns fit in 200 kB.
_SMALL: Final = ("ridge", "SVR")
_SOH: Final = tuple(one for one in CHARGE if one.name in _SMALL)
_PULSE: Final = tuple(one for one in PULSE if one.name in _SMALL)
_LOOKS: Final = ("charge", "charge and age", "since start", "recent trend")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A shipped model: its cells and what it is for; `limits` are the limits of validity.

    `choices` are the sets of columns offered, empty: all of the task.
    """

    name: str
    what: str
    kind: Kind
    data_set: str
    files: tuple[str, ...]
    group: str
    algorithms: tuple[Algorithm, ...]
    limits: str
    licence: str = ""
    repeat_count: int = 1
    flat: bool = True
    choices: tuple[str, ...] = ()


def _charge_ends(name: str, group: str, what: str, file: str) -> Recipe:
    return Recipe(
        name, f"State of health of {what} from the end of a charge", "soh", "soh_features",
        (f"{file}.parquet",), group, _SOH, _CHARGE, _TABLES,
        choices=_LOOKS,
    )  # fmt: skip


def _pulses(name: str, group: str, what: str) -> Recipe:
    return Recipe(
        name, f"State of health of retired {what} from a train of pulses", "soh", "pulsebat",
        ("features.parquet",), group, _PULSE,
        "Retired cells of this make, pulses of 5 s from 0.5C to 2.5C at 5 to 50 % of charge, as"
        " the set describes them. The conditioned charge is an input and must be known.",
    )  # fmt: skip


RECIPES: Final = (
    Recipe(
        "life-lfp-fast-charge",
        "Life of fast-charged LFP cells from the curves of their first hundred cycles",
        "life",
        "severson_lfp",
        ("train_discharge_q.parquet", "train_cycle_life.csv",
         "primary_test_discharge_q.parquet", "primary_test_cycle_life.csv"),
        "early life",
        tuple(named(one) for one in CANDIDATES),
        "A123 APR18650M1A under fast charge at 30 °C, discharged at 4C, Q(V) on the grid of the"
        " set. Cells of another kind of life than the training cells' are told wrong, and the"
        " interval does not hold there.",
        repeat_count=REPEATS,
        flat=False,
    ),
    _charge_ends("soh-xjtu-ncm", "XJTU", "NCM 18650 cells (XJTU)", "xjtu"),
    _charge_ends("soh-tju-nca", "TJU D1_NCA", "NCA 18650 cells (TJU)", "tju"),
    _charge_ends("soh-tju-ncm", "TJU D2_NCM", "NCM 18650 cells (TJU)", "tju"),
    _charge_ends("soh-tju-ncm-nca", "TJU D3_NCM_NCA", "NCM+NCA 18650 cells (TJU)", "tju"),
    _charge_ends("soh-hust-lfp", "HUST", "LFP cells (HUST)", "hust"),
    _charge_ends("soh-mit-lfp", "MIT", "LFP cells (MIT)", "mit"),
    _pulses("pulse-lmo", "LMO_10Ah", "LMO cells of 10 Ah"),
    _pulses("pulse-lfp", "LFP_35Ah", "LFP cells of 35 Ah"),
    _pulses("pulse-nmc", "NMC_2.1Ah", "NMC cells of 2.1 Ah"),
)  # fmt: skip


def cells_of(recipe: Recipe, data: Path) -> Found:
    """The cells of a recipe.

    Raises:
        UsageError: the data is not there.
    """
    folder = data / recipe.data_set
    files = [folder / one for one in recipe.files]
    if absent := [one for one in files if not one.is_file()]:
        raise UsageError(f"{absent[0]} is not there", hint="Set CELLWARDEN_DATA to the data sets.")
    found = pooled(find(files, recipe.kind, Wish(group=recipe.group)), recipe.group)
    if not recipe.choices:
        return found
    offered = {name: found.task.choices[name] for name in recipe.choices}
    return replace(found, task=replace(found.task, choices=offered))


def follow(recipe: Recipe, data: Path, progress: Callable[[str], None] = lambda _: None) -> Made:
    """The model of a recipe, fitted and scored.

    Raises:
        UsageError: the data is not there, or the model does not beat its baselines.
    """
    known = describe(recipe.data_set)
    licence = recipe.licence or known.licence
    said = (
        ("what", recipe.what),
        ("limits", recipe.limits),
        ("how to rebuild", f"cellwarden models build {recipe.name}"),
    )
    origin = Origin(known.short, licence, known.citation, said)
    return make(
        recipe.name,
        cells_of(recipe, data),
        recipe.algorithms,
        origin,
        recipe.repeat_count,
        progress,
        flat=recipe.flat,
    )
