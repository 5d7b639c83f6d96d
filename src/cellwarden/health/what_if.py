"""What a prediction would be if a battery were used otherwise: "10 °C cooler would give ...".

Rules
- Only what a user can act on may be changed, and the model may look at nothing that the change
  would itself move: a model that also sees early fade tells no effect of temperature.
- Nothing is told beyond the training cells: the changed use must lie between uses that training
  cells had (in the convex hull of them), and within what `Prepared.outside` allows.
- A column in which the training cells do not differ has an unknown effect: nothing is told.
- Where the cells' use was assigned by an experiment the difference is an effect; else it says how
  cells that are used so do, and the answer says "association".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Interval, NotServed
from cellwarden.errors import UsageError
from cellwarden.health.task import Sample
from cellwarden.health.tuning import Tuned

__all__ = ["WhatIf", "what_if"]

_COVERAGE: Final = 0.9


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A prediction before and after a change, in the task's unit.

    `interval` is that of a new cell used as changed. `claim` is "effect" or "association".
    """

    changed: Mapping[str, float]
    before: float
    after: float
    interval: Interval
    claim: str

    def __str__(self) -> str:
        """One line for a person."""
        told = ", ".join(f"{name} {value:g}" for name, value in self.changed.items())
        return (
            f"{told}: {self.before:.4g} -> {self.after:.4g}"
            f" ({self.interval.low:.4g} to {self.interval.high:.4g}"
            f" at {self.interval.coverage:.0%}; {self.claim})"
        )


def what_if(
    tuned: Tuned,
    sample: Sample,
    features: Float64[np.ndarray, " column"],
    changes: Mapping[str, float],
    *,
    use: tuple[str, ...],
    fixed: tuple[str, ...] = (),
    assigned: bool = False,
    coverage: float = _COVERAGE,
) -> WhatIf | NotServed:
    """The prediction after a change of use, with its interval, or why none is told. [task's unit]

    `sample` is what `tuned` was fitted to. `use` are the columns that a user sets, `fixed` those
    that no use can move, such as the maker's capacity. `assigned`: the use of the training cells
    was set by an experiment.

    Raises:
        UsageError: a change of what a user does not set.
    """
    if wrong := set(changes) - set(use):
        raise UsageError(
            f"{', '.join(sorted(wrong))} cannot be changed by use",
            hint=f"Change of {', '.join(use)}.",
        )
    after = features.astype(np.float64)
    after[sample.places(tuple(changes))] = list(changes.values())
    seen = np.unique(sample.features[:, sample.places(use)], axis=0)
    wanted = after[sample.places(use)]
    if reason := _confounded(tuned, changes, (*use, *fixed)) or _unknown(
        wanted, seen, use, changes
    ):
        return NotServed(reason)
    rows = np.vstack([features, after])
    if float(tuned.whole.outside(rows[1:])[0]) > 0:
        return NotServed("the changed use lies beyond the training cells")
    low, high = tuned.interval(rows[1:], coverage)
    told = np.array([*tuned.predict(rows).mean, low[0], high[0]])
    if not np.isfinite(told).all():
        return NotServed(f"too few training cells for an interval at {coverage:.0%}")
    first, then, least, most = (10.0**told if sample.logarithmic else told).tolist()
    claim = "effect" if assigned else "association"
    return WhatIf(dict(changes), first, then, Interval(least, most, coverage), claim)


def _confounded(tuned: Tuned, changes: Mapping[str, float], allowed: tuple[str, ...]) -> str:
    """Why what a model looks at forbids a change; empty where it does not."""
    if unseen := set(changes) - set(tuned.chosen.columns):
        return f"the model does not look at {', '.join(sorted(unseen))}"
    if measured := set(tuned.chosen.columns) - set(allowed):
        told = ", ".join(sorted(measured))
        return f"the model also looks at {told}, which the change may itself move"
    return ""


def _unknown(
    wanted: Float64[np.ndarray, " use"],
    seen: Float64[np.ndarray, "cell use"],
    use: tuple[str, ...],
    changes: Mapping[str, float],
) -> str:
    """Why training cells cannot tell of the changed use; empty where they can."""
    for name, value in changes.items():
        if np.ptp(one := seen[:, use.index(name)]) == 0 and value != one[0]:
            return f"all training cells have one {name}: its effect is unknown"
    if not _between(wanted, seen):
        told = ", ".join(f"{name} {value:g}" for name, value in zip(use, wanted, strict=True))
        return f"no training cells were used around {told}"
    return ""


def _between(point: Float64[np.ndarray, " use"], seen: Float64[np.ndarray, "cell use"]) -> bool:
    """Whether a point is a mean of some of these, with weights."""
    from scipy.optimize import linprog  # noqa: PLC0415  when it is used

    scale = np.ptp(seen, axis=0)
    scale = np.where(scale > 0, scale, np.maximum(np.abs(seen[0]), 1.0))
    equal = np.vstack([(seen / scale).T, np.ones(len(seen))])
    return bool(linprog(np.zeros(len(seen)), A_eq=equal, b_eq=[*point / scale, 1.0]).success)
