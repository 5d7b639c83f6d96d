from dataclasses import replace

import numpy as np
import pytest

from cellwarden.health import soc_filter
from cellwarden.health.soc_calibrate import Blind
from cellwarden.health.soc_correction import Correction, correct, learn
from cellwarden.health.soc_model import CellModel, Record
from health.soc_cell import cell_model, drive


def wrong_model() -> CellModel:
    """Its curve reads 20 mV too high, and it is too sure of itself."""
    model = cell_model()
    table = model.table.copy()
    table[:, :, 0] += 0.020
    return replace(model, table=table)


@pytest.fixture(scope="module")
def learned() -> Correction:
    true, wrong = cell_model(), wrong_model()
    parts: list[Blind] = [
        (wrong, [drive(true, seed, second_count=3600) for seed in pair])
        for pair in ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    ]
    return learn(wrong, parts)


def told(
    record: Record, correction: Correction, cuts: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray, soc_filter.Estimates]:
    model = wrong_model()
    columns = (
        record.unix_time_second,
        record.current_ampere[:, None],
        record.voltage_volt[:, None],
        record.temperature_celsius[:, None],
    )
    _, plain = soc_filter.run(model, soc_filter.init(model, 1), *columns)
    held, parts = None, []
    for first, last in zip((0, *cuts), (*cuts, len(record)), strict=True):
        rows = slice(first, last)
        some = soc_filter.Estimates(*(getattr(plain, f)[rows] for f in plain.__slots__))
        soc, std, held = correct(
            correction, model, some, *(column[rows] for column in columns), held
        )
        parts.append((soc, std))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), plain


def test_an_error_that_repeats_is_learned_and_the_interval_holds(learned: Correction) -> None:
    record = drive(cell_model(), 77, second_count=3600)
    soc, std, plain = told(record, learned)
    before, after = (
        np.abs(x[600:, 0] - record.soc_fraction[600:]) for x in (plain.soc_fraction, soc)
    )
    assert after.mean() < 0.7 * before.mean()
    assert np.mean(after < 1.645 * std[600:, 0]) > 0.75
    bound = 1.6449 * plain.soc_std_fraction + 1e-12
    assert np.all(np.abs(soc - plain.soc_fraction) <= bound)


def test_a_correction_resumed_is_uninterrupted(learned: Correction) -> None:
    record = drive(cell_model(), 78, second_count=1200)
    whole, _, _ = told(record, learned)
    parts, _, _ = told(record, learned, (1, 500))
    np.testing.assert_allclose(parts, whole, atol=1e-12)
