from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.physics import course, fleet_kernel, fleet_walk
from cellwarden.physics.fleet_config import FleetConfig


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    chemistry=st.sampled_from(["NMC", "LFP", "LTO"]),
    period=st.sampled_from([10, 60, 777, 3600]),
    begin=st.integers(0, 200_000),
    soh=st.sampled_from([1.0, 0.7]),
)
def test_the_compiled_walk_of_a_fleet_is_the_walk(
    fleet_of: Callable[..., FleetConfig],
    walked: Callable[..., tuple[np.ndarray, ...]],
    *,
    seed: int,
    chemistry: str,
    period: int,
    begin: int,
    soh: float,
) -> None:
    config = fleet_of(
        1, chemistry=chemistry, period_second=period, seed=seed, soh_fraction=soh, charge_rate=0.3
    )
    second = min(120 * period, 90_000)
    walks = [
        walked(walk, config, begin=begin, second=second, seed=seed)
        for walk in (fleet_walk.walk, fleet_kernel.walk)
    ]
    # Turns a rounding apart may come and go; what cycles cost is in the cells' sums.
    for row in (0, 3):
        assert np.allclose(walks[0][row], walks[1][row], rtol=1e-6, atol=1e-8)


def test_the_kernel_counts_rows_as_the_course_names_them() -> None:
    names = [
        name for name in vars(fleet_kernel) if name[1:].isupper() and hasattr(course, name[1:])
    ]
    assert len(names) > 10
    for name in names:
        assert getattr(fleet_kernel, name) == getattr(course, name[1:]), name
