"""Groups of batteries that age and are used alike, with a name, a policy and an answer for none.

Rules
- Columns are taken in units of their robust spread and held to four of it; a column that was not
  measured of every cell, or does not differ, is left out.
- The number of groups, and the way of grouping among three, is that for which the same cells come
  together most surely when a fifth of them is left out (mean adjusted Rand index); of numbers that
  differ by less than `_ALIKE` the largest. Where none reaches `STEADY` the answer is one group.
- A battery farther from every group than its members are is unlike any; it gets no policy but to be
  looked at.
- A name is made of what tells a group from all cells. A policy says what to try and why; what it
  gains is not known from the groups, and has to be shown.

Source: A. Ben-Hur, A. Elisseeff, I. Guyon, Pac. Symp. Biocomput. 2002, 6 (stability); L. Kaufman,
P. J. Rousseeuw, Finding Groups in Data (Wiley, 1990), chapter 2 (k-medoids).
"""

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.traits import TRAITS

__all__ = [
    "STEADY",
    "UNLIKE_ANY",
    "Group",
    "Grouping",
    "Policy",
    "find_groups",
    "k_medoids",
]

STEADY: Final = 0.8
UNLIKE_ANY: Final = -1
_WAYS: Final = ("k-medoids", "Gaussian mixture", "hierarchical")
_MOST_GROUPS: Final = 6
_DRAWS: Final = 10
_ALIKE: Final = 0.02
_HELD: Final = 4.0
_REACH: Final = 5.0  # robust spreads beyond the median distance of a group's own members
_TELLING: Final = 0.5
_FEWEST: Final = 3  # cells of a group


@dataclass(frozen=True, slots=True)
class Policy:
    """What to try with a group, and the reason. Its gain is not claimed."""

    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Batteries alike: name, centre, spread, how far members reach, what to try."""

    name: str
    cell_count: int
    centre: Float64[np.ndarray, " trait"]
    spread: Float64[np.ndarray, " trait"]
    reach: float
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups, whose each cell is (`UNLIKE_ANY`: none), and how they were found.

    `stability` is the mean adjusted Rand index of the chosen way and number. `tried` holds it for
    each way and number of groups.
    """

    names: tuple[str, ...]
    taken: Int64[np.ndarray, " trait"]
    centre: Float64[np.ndarray, " trait"]
    scale: Float64[np.ndarray, " trait"]
    groups: tuple[Group, ...]
    member: Int64[np.ndarray, " cell"]
    way: str
    stability: float
    tried: tuple[tuple[str, int, float], ...]

    def assign(self, traits: Float64[np.ndarray, "cell every"]) -> Int64[np.ndarray, " cell"]:
        """The group of each battery, or `UNLIKE_ANY`. [1]"""
        return _nearest(_units(traits[:, self.taken], self.centre, self.scale), self.groups)


def find_groups(
    traits: Float64[np.ndarray, "cell every"], names: tuple[str, ...], seed: int = 0
) -> Grouping:
    """The groups that cells fall into, by the rules above. [1]

    Raises:
        UsageError: too few cells, or nothing in which they differ.
    """
    if len(traits) < 2 * _FEWEST:
        raise UsageError(f"{len(traits)} cells make no groups", hint=f"Give {2 * _FEWEST}.")
    known = np.isfinite(traits).all(axis=0)
    centre = np.where(known, np.median(np.where(known, traits, 0.0), axis=0), 0.0)
    scale = 1.4826 * np.median(np.abs(np.where(known, traits, 0.0) - centre), axis=0)
    # Most cells may have one value of a column that a few differ in.
    wide = np.where(known, traits, 0.0).std(axis=0)
    scale = np.where(scale > 0.1 * wide, scale, wide)
    taken = np.flatnonzero(known & (scale > 0))
    if not len(taken):
        raise UsageError("the cells differ in nothing measured", hint="Give other traits.")
    unit = _units(traits[:, taken], centre[taken], scale[taken])
    tried = [
        (way, count, _stability(unit, way, count, seed))
        for way in _WAYS
        for count in range(2, min(_MOST_GROUPS, len(unit) // _FEWEST) + 1)
    ]
    steady = [one for one in tried if one[2] >= STEADY]
    if steady:
        best = max(one[2] for one in steady)
        close = [one for one in steady if one[2] > best - _ALIKE]
        way, count, stability = max(close, key=lambda one: (one[1], one[2]))
        label = _cluster(unit, way, count, seed)
    else:
        way, stability = "none is steady", max(one[2] for one in tried)
        label = np.zeros(len(unit), dtype=np.int64)
    chosen = tuple(names[k] for k in taken)
    groups = _described(unit, label, chosen)
    return Grouping(
        chosen, taken, centre[taken], scale[taken], groups, _nearest(unit, groups), way,
        stability, tuple(tried),
    )  # fmt: skip


def k_medoids(
    unit: Float64[np.ndarray, "cell trait"], count: int, seed: int
) -> Int64[np.ndarray, " cell"]:
    """Groups around cells that lie in their midst, the best of eight starts. [1]"""
    apart = np.sqrt(((unit[:, None] - unit[None]) ** 2).sum(axis=2))
    rng = np.random.default_rng(seed)
    best, least = np.zeros(len(unit), dtype=np.int64), np.inf
    for _ in range(8):
        middle = rng.choice(len(unit), count, replace=False)
        for _ in range(50):
            label = apart[:, middle].argmin(axis=1)
            label[middle] = np.arange(count)
            own = [np.flatnonzero(label == k) for k in range(count)]
            moved = np.array([at[apart[np.ix_(at, at)].sum(axis=0).argmin()] for at in own])
            if (moved == middle).all():
                break
            middle = moved
        cost = float(apart[:, middle].min(axis=1).sum())
        if cost < least:
            best, least = label, cost
    return best


def _units(
    traits: Float64[np.ndarray, "cell trait"],
    centre: Float64[np.ndarray, " trait"],
    scale: Float64[np.ndarray, " trait"],
) -> Float64[np.ndarray, "cell trait"]:
    return np.asarray(np.clip((traits - centre) / scale, -_HELD, _HELD))


def _cluster(
    unit: Float64[np.ndarray, "cell trait"], way: str, count: int, seed: int
) -> Int64[np.ndarray, " cell"]:
    if way == "k-medoids":
        return k_medoids(unit, count, seed)
    from sklearn.cluster import AgglomerativeClustering  # noqa: PLC0415  when it is used
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  likewise
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415  likewise

    model: Any = AgglomerativeClustering(count)
    if way == "Gaussian mixture":
        model = GaussianMixture(count, covariance_type="diag", reg_covar=0.05, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct cells than groups: the stability says so as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(model.fit_predict(unit), dtype=np.int64)


def _stability(unit: Float64[np.ndarray, "cell trait"], way: str, count: int, seed: int) -> float:
    """Mean adjusted Rand index of groups found again without a fifth of the cells. [1]

    Zero where a group would have fewer than three cells: what stands alone is unlike any.
    """
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415  when it is used

    whole = _cluster(unit, way, count, seed)
    if np.bincount(whole, minlength=count).min() < _FEWEST:
        return 0.0
    rng = np.random.default_rng(seed)
    told = []
    for draw in range(_DRAWS):
        kept = rng.choice(len(unit), round(0.8 * len(unit)), replace=False)
        again = _cluster(unit[kept], way, count, seed + draw + 1)
        told.append(float(adjusted_rand_score(whole[kept], again)))
    return float(np.mean(told))


def _described(
    unit: Float64[np.ndarray, "cell trait"],
    label: Int64[np.ndarray, " cell"],
    names: tuple[str, ...],
) -> tuple[Group, ...]:
    told: list[Group] = []
    for one in np.unique(label):
        own = unit[label == one]
        centre = np.median(own, axis=0)
        spread = np.maximum(1.4826 * np.median(np.abs(own - centre), axis=0), 0.25)
        distance = _distance(own, centre, spread)
        middle = float(np.median(distance))
        reach = middle + _REACH * max(1.4826 * float(np.median(np.abs(distance - middle))), 0.2)
        away = (own.mean(axis=0) - unit.mean(axis=0)) / np.maximum(unit.std(axis=0), 1e-12)
        order = np.argsort(-np.abs(away), kind="stable")
        telling = [k for k in order if abs(away[k]) > _TELLING]
        words = [TRAITS[names[k]][int(away[k] > 0)] for k in telling]
        used = {group.name for group in told}
        name = next(
            (
                ", ".join(words[:count])
                for count in range(min(2, len(words)), len(words) + 1)
                if count and ", ".join(words[:count]) not in used
            ),
            "typical" if "typical" not in used else f"typical {one + 1}",
        )
        policies = _policies({names[k]: float(away[k]) for k in telling})
        told.append(Group(name, len(own), centre, spread, reach, policies))
    return tuple(told)


def _policies(away: dict[str, float]) -> tuple[Policy, ...]:
    """What to try with a group that stands out so. [1]"""
    rules = (
        ("temperature_celsius", 1, "cool", "it is hotter than the others, and heat ages cells"),
        ("charge_rate_per_hour", 1, "charge more gently", "it is charged faster than the others"),
        ("bend_log10", 1, "inspect", "fading speeds up, as it does before a knee"),
        (
            "cv_share_growth_log10", 1, "charge more gently",
            "more and more of the charge is taken at full voltage: resistance grows",
        ),
        (
            "fade_late_log10", 1, "lower the upper voltage",
            "it fades faster than the others, and time at high voltage ages cells",
        ),
    )  # fmt: skip
    told = [
        Policy(action, reason)
        for name, way, action, reason in rules
        if way * away.get(name, 0.0) > _TELLING
    ]
    slow = away.get("fade_late_log10", 0.0) < -_TELLING
    if slow and max(away.get("fade_early_log10", 0.0), away.get("bend_log10", 0.0)) <= _TELLING:
        told.append(Policy("second-life candidate", "it always faded no faster than the others"))
    return tuple(told) or (Policy("go on", "nothing tells it from the others"),)


def _distance(
    unit: Float64[np.ndarray, "cell trait"],
    centre: Float64[np.ndarray, " trait"],
    spread: Float64[np.ndarray, " trait"],
) -> Float64[np.ndarray, " cell"]:
    return np.asarray(np.sqrt((((unit - centre) / spread) ** 2).mean(axis=1)))


def _nearest(
    unit: Float64[np.ndarray, "cell trait"], groups: tuple[Group, ...]
) -> Int64[np.ndarray, " cell"]:
    """By distance in each group's own reach; a cell with an unknown trait is unlike any. [1]"""
    far = np.array([_distance(unit, one.centre, one.spread) / one.reach for one in groups])
    far = np.where(np.isfinite(far), far, np.inf)
    near = far.argmin(axis=0)
    return np.where(far.min(axis=0) <= 1, near, UNLIKE_ANY)
