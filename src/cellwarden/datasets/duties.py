"""Uses and climates of the data set `duty_profiles`, as the fleet twin takes them.

Rules
- A name that the package makes itself (`physics.duty.DUTIES`, `physics.climate.CLIMATES`) needs no
  data; every other one is a part of the data set, named by its file without the ending.
- Vehicles' lines of charge have a point each 5 min, so their load is rough; storage's is as given.
"""

from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from cellwarden.datasets.catalogue import describe, locate
from cellwarden.errors import UsageError
from cellwarden.physics.climate import CLIMATES, Climate, climate_from
from cellwarden.physics.duty import DUTIES, Duty, duty_from

__all__ = ["climate_named", "climate_names", "duty_named", "duty_names"]

_SET: Final = "duty_profiles"
_AIR: Final = "climate_"
_ROUGH: Final = {"commercial_ev": 1.6, "personal_ev_combined": 1.6}


def _parts() -> list[str]:
    return [part.path.removesuffix(".parquet") for part in describe(_SET).parts]


def duty_names() -> tuple[str, ...]:
    """Every duty, built-in ones first."""
    return (*DUTIES, *(name for name in _parts() if not name.startswith(_AIR)))


def climate_names() -> tuple[str, ...]:
    """Every climate, built-in ones first."""
    return (*CLIMATES, *(name for name in _parts() if name.startswith(_AIR)))


def duty_named(name: str, data: Path | None = None) -> Duty:
    """A duty of the package or of the data set.

    Raises:
        UsageError: no such duty, or the data is not there.
    """
    if name in DUTIES:
        return DUTIES[name]
    if name not in duty_names():
        raise UsageError(f"no duty {name!r}", hint=f"There are {', '.join(duty_names())}.")
    time, charge = _columns(name, data, "time_s, soc")
    even = (time - time[0]).astype(np.int64)
    return duty_from(name, even, charge, roughness=_ROUGH.get(name, 0.0))


def climate_named(name: str, data: Path | None = None) -> Climate:
    """A climate of the package or of the data set.

    Raises:
        UsageError: no such climate, or the data is not there.
    """
    if name in CLIMATES:
        return CLIMATES[name]
    if name not in climate_names():
        raise UsageError(f"no climate {name!r}", hint=f"There are {', '.join(climate_names())}.")
    # One part counts hours, the other seconds.
    time, celsius = _columns(name, data, "*")
    return climate_from(name, time * 3600.0 if time[1] - time[0] == 1.0 else time, celsius)


def _columns(name: str, data: Path | None, columns: str) -> tuple[np.ndarray, np.ndarray]:
    path = locate(_SET, f"{name}.parquet", data)
    told = duckdb.execute(f"select {columns} from read_parquet(?)", [str(path)]).fetchnumpy()
    first, second = (np.asarray(column, dtype=np.float64) for column in list(told.values())[:2])
    return first, second
