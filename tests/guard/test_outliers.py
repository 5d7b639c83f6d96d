from collections.abc import Callable

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.guard import generalised_esd, grubbs, hampel, iqr_fences

# Rosner (1983), as printed in the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.17.3.
ROSNER = np.array(
    [
        -0.25,
        0.68,
        0.94,
        1.15,
        1.2,
        1.26,
        1.26,
        1.34,
        1.38,
        1.43,
        1.49,
        1.49,
        1.55,
        1.56,
        1.58,
        1.65,
        1.69,
        1.7,
        1.76,
        1.77,
        1.81,
        1.91,
        1.94,
        1.96,
        1.99,
        2.06,
        2.09,
        2.1,
        2.14,
        2.15,
        2.23,
        2.24,
        2.26,
        2.35,
        2.37,
        2.4,
        2.47,
        2.54,
        2.62,
        2.64,
        2.9,
        2.92,
        2.92,
        2.93,
        3.21,
        3.26,
        3.3,
        3.59,
        3.68,
        4.3,
        4.64,
        5.34,
        5.42,
        6.01,
    ],
    dtype=np.float64,
)
# Tietjen and Moore (1972), ibid. 1.3.5.17.1.
URANIUM = np.array([199.31, 199.53, 200.19, 200.82, 201.92, 201.95, 202.18, 245.57])


def test_the_generalised_esd_gives_the_table_that_nist_prints() -> None:
    outliers, steps = generalised_esd(ROSNER, 10)
    printed = [  # cut off after three digits, as printed
        (3.118, 3.158),
        (2.942, 3.151),
        (3.179, 3.143),
        (2.810, 3.136),
        (2.815, 3.128),
        (2.848, 3.120),
        (2.279, 3.111),
        (2.310, 3.103),
        (2.101, 3.094),
        (2.067, 3.085),
    ]
    assert [(int(1000 * s.statistic), int(1000 * s.critical)) for s in steps] == [
        (round(1000 * statistic), round(1000 * critical)) for statistic, critical in printed
    ]
    assert ROSNER[outliers].tolist() == [6.01, 5.42, 5.34]


def test_the_first_two_would_have_been_masked_one_at_a_time() -> None:
    _, steps = generalised_esd(ROSNER, 3)
    assert [step.beyond for step in steps] == [False, False, True]


def test_grubbs_gives_the_values_that_nist_prints() -> None:
    found = grubbs(URANIUM, two_sided=False)
    assert (found.index, found.beyond) == (7, True)
    assert found.statistic == pytest.approx(2.4687, abs=5e-4)
    assert found.critical == pytest.approx(2.032, abs=5e-4)


def test_grubbs_leaves_normal_values_alone_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    false = sum(grubbs(rng.normal(size=20)).beyond for _ in range(2000))
    assert 60 <= false <= 140  # 5 % of 2000, four standard deviations


@pytest.mark.parametrize(
    # Quartiles of 1..10 by the definitions of Hyndman and Fan, worked by hand.
    ("quantile_type", "low", "high"),
    [
        (4, 2.5, 7.5),
        (5, 3, 8),
        (6, 2.75, 8.25),
        (7, 3.25, 7.75),
        (8, 35 / 12, 97 / 12),
        (9, 2.9375, 8.0625),
    ],
)
def test_the_fences_use_the_quantile_type_they_name(
    quantile_type: int, low: float, high: float
) -> None:
    below, above = iqr_fences(np.arange(1.0, 11.0), quantile_type=quantile_type)
    assert below == pytest.approx(low - 1.5 * (high - low))
    assert above == pytest.approx(high + 1.5 * (high - low))


def test_seven_is_the_default_and_gaps_are_left_out() -> None:
    values = np.array([1.0, np.nan, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert iqr_fences(values) == iqr_fences(np.arange(1.0, 11.0), quantile_type=7)


def test_hampel_finds_the_stray_value_and_nothing_else() -> None:
    values = np.sin(np.arange(50) / 5)
    values[20] += 3
    values[30] = np.nan
    assert np.flatnonzero(hampel(values)).tolist() == [20]


def test_hampel_calls_any_change_in_a_flat_signal_a_stray() -> None:
    values = np.zeros(20)
    values[10] = 1e-9
    assert np.flatnonzero(hampel(values)).tolist() == [10]


@pytest.mark.parametrize(
    "call",
    [
        lambda: grubbs(np.array([1.0, 2.0])),
        lambda: grubbs(np.ones(10)),
        lambda: generalised_esd(np.array([1.0, 2.0, np.nan, 3.0]), 1),
        lambda: generalised_esd(np.arange(5.0), 4),
        lambda: iqr_fences(np.array([np.nan])),
        lambda: iqr_fences(np.arange(5.0), quantile_type=3),
        lambda: hampel(np.arange(5.0), reach_count=0),
    ],
)
def test_a_test_without_enough_to_go_on_says_so(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError) as raised:
        call()
    assert raised.value.hint
