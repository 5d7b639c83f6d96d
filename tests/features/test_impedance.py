import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.features.impedance import (
    Spectrum,
    circuit_impedance,
    fit_circuit,
    kramers_kronig,
    long_spectra,
    ohmic_intercept,
    semicircle,
    wide_spectra,
)

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
EIS, NASA = DATA / "eis_lco" / "eis.parquet", DATA / "nasa_pcoe" / "impedance.parquet"
HERTZ = np.geomspace(1e4, 1e-2, 60)
VALUES = np.array([0.02, 1e-7, 0.01, 1e-3, 0.9, 0.03, 0.2, 0.85, 0.002])
TRUE = circuit_impedance(VALUES, HERTZ, arc_count=2)
RNG = np.random.default_rng(5)
NOISE = RNG.standard_normal(60) + 1j * RNG.standard_normal(60)


def test_the_circuit_is_its_textbook_equation() -> None:
    omega = 2 * np.pi * 3.0
    found = circuit_impedance(
        np.array([1.0, 0.5, 2.0, 0.1, 0.8, 0.3]),
        np.array([3.0]),
        arc_count=1,
    )[0]
    wanted = 1 + 1j * omega * 0.5 + 2 / (1 + (1j * omega * 0.1) ** 0.8)
    assert found == pytest.approx(wanted + 0.3 * (1 - 1j) / omega**0.5)


def test_a_fit_gives_back_the_circuit_that_made_the_spectrum() -> None:
    found = fit_circuit(Spectrum(HERTZ, TRUE), arc_count=2)
    assert found.values == pytest.approx(VALUES, rel=1e-6)
    assert found.rms_fraction < 1e-9
    assert found.converged
    assert found["arc_2_ohm"][0] == pytest.approx(0.03)
    assert found.impedance_ohm(HERTZ) == pytest.approx(TRUE)


def test_standard_errors_are_those_of_repeated_measurements() -> None:
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(25):
        noise = 2e-3 * (rng.standard_normal(60) + 1j * rng.standard_normal(60))
        spectrum = Spectrum(HERTZ, TRUE * (1 + noise))
        runs.append(fit_circuit(spectrum, arc_count=2, start_count=1))
    seen = np.std([run.values for run in runs], axis=0, ddof=1)
    told = np.median([run.std for run in runs], axis=0)
    assert np.all((told / seen > 0.6) & (told / seen < 1.7))


def test_a_part_that_the_spectrum_does_not_hold_has_no_error_bar() -> None:
    plain = circuit_impedance(
        VALUES[[0, 5, 6, 7]], HERTZ, arc_count=1, inductive=False, diffusive=False
    )
    found = fit_circuit(Spectrum(HERTZ, plain), arc_count=1, inductive=False, diffusive=True)
    value, std = found["warburg_ohm_per_root_second"]
    assert np.isnan(std) or value < 3 * std or value < 1e-4
    assert found["arc_1_ohm"][0] == pytest.approx(0.03, rel=1e-3)


def test_the_intercept_and_the_arc_of_a_known_circuit() -> None:
    hertz = np.geomspace(1e5, 1e-3, 200)
    made = circuit_impedance(np.array([0.02, 1e-8, 0.03, 0.05, 1.0, 1e-4]), hertz, arc_count=1)
    spectrum = Spectrum(hertz, made)
    assert ohmic_intercept(spectrum) == pytest.approx(0.02, rel=0.01)
    arc = semicircle(spectrum)
    assert arc.width_ohm == pytest.approx(0.03, rel=0.05)
    assert arc.top_frequency_hertz == pytest.approx(1 / (2 * np.pi * 0.05), rel=0.1)


def test_a_spectrum_that_never_meets_the_real_axis_has_no_intercept() -> None:
    above = Spectrum(
        HERTZ,
        circuit_impedance(
            VALUES[[0, 5, 6, 7]], HERTZ, arc_count=1, inductive=False, diffusive=False
        ),
    )
    assert np.isnan(ohmic_intercept(above))
    assert np.isnan(semicircle(above).width_ohm)


def test_a_true_spectrum_passes_kramers_kronig_and_its_noise_is_told() -> None:
    assert kramers_kronig(Spectrum(HERTZ, TRUE)).largest_fraction < 1e-3
    noisy = kramers_kronig(Spectrum(HERTZ, TRUE * (1 + 1e-3 * NOISE)))
    assert noisy.rms_fraction == pytest.approx(1e-3, rel=0.35)
    assert noisy.over_fraction <= 0.85


@pytest.mark.parametrize(
    "fault",
    [np.conj(TRUE), TRUE + 0.01 * np.linspace(0, 1, 60), TRUE.real + 1j * 1.1 * TRUE.imag],
    ids=["turned sign", "drift while measuring", "a part scaled"],
)
def test_a_spectrum_that_cannot_be_stands_out(fault: np.ndarray) -> None:
    sound = kramers_kronig(Spectrum(HERTZ, TRUE)).rms_fraction
    assert kramers_kronig(Spectrum(HERTZ, fault)).rms_fraction > 10 * sound


def test_points_out_of_order_or_missing_make_no_difference() -> None:
    order = np.random.default_rng(0).permutation(60)
    hertz = np.append(HERTZ[order], [np.nan, -1.0, 5.0])
    mixed = Spectrum(hertz, np.append(TRUE[order], [1, 1, np.nan + 0j]))
    assert np.array_equal(mixed.impedance_ohm, TRUE)


def test_wide_and_long_tables_of_one_sweep_are_one_spectrum() -> None:
    wide = {f"ZReal_{f!r}Hz": np.array([z.real]) for f, z in zip(HERTZ.tolist(), TRUE, strict=True)}
    wide |= {
        f"ZImag_{f!r}Hz": np.array([-z.imag]) for f, z in zip(HERTZ.tolist(), TRUE, strict=True)
    }
    first = wide_spectra(Table("wide", "spectra", wide), imaginary_sign=-1)[0]
    twice = {
        "freq/Hz": np.tile(HERTZ, 2),
        "Re(Z)/Ohm": np.tile(TRUE.real, 2),
        "-Im(Z)/Ohm": np.tile(-TRUE.imag, 2),
        "cycle": np.repeat([1, 2], 60),
    }
    sweeps = dict(
        long_spectra(
            Table("long", "spectra", twice),
            frequency_column="freq/Hz",
            real_column="Re(Z)/Ohm",
            imaginary_column="-Im(Z)/Ohm",
            imaginary_sign=-1,
            sweep_columns=("cycle",),
        )
    )
    assert sorted(sweeps) == [(1,), (2,)]
    assert np.array_equal(first.impedance_ohm, sweeps[2,].impedance_ohm)
    assert np.array_equal(first.impedance_ohm, TRUE)


def test_tables_that_hold_no_spectrum_are_refused() -> None:
    table = Table("t", "spectra", {"ZReal_1Hz": np.ones(1), "ZImag_2Hz": np.ones(1)})
    with pytest.raises(DataError, match="in pairs"):
        wide_spectra(table, imaginary_sign=1)
    odd = Table("t", "spectra", {"ZReal_xHz": np.ones(1), "ZImag_xHz": np.ones(1)})
    with pytest.raises(DataError, match="no number"):
        wide_spectra(odd, imaginary_sign=1)
    words = Table("t", "spectra", {"ZReal_1Hz": np.array(["a"]), "ZImag_1Hz": np.ones(1)})
    with pytest.raises(DataError, match="is text"):
        wide_spectra(words, imaginary_sign=1)
    with pytest.raises(UsageError, match="no sign"):
        wide_spectra(table, imaginary_sign=0)
    with pytest.raises(DataError, match="cannot tell"):
        fit_circuit(Spectrum(HERTZ[:4], TRUE[:4]), arc_count=2)
    with pytest.raises(DataError, match="frequencies"):
        Spectrum(HERTZ[:4], TRUE[:3])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_points_say_nothing(count: int) -> None:
    spectrum = Spectrum(HERTZ[:count], TRUE[:count])
    assert np.isnan(kramers_kronig(spectrum).rms_fraction)
    assert np.isnan(ohmic_intercept(spectrum))
    assert np.isnan(semicircle(spectrum).width_ohm)


# Real cells


def test_the_published_spectra_are_sound_and_their_arc_grows() -> None:
    if not EIS.is_file():
        pytest.skip("the spectra are not there: set CELLWARDEN_DATA")
    import duckdb

    rows = duckdb.sql(f"select * from '{EIS}' where cell = 1 order by cycle").fetchnumpy()
    table = Table("eis", "spectra", {name: np.asarray(rows[name]) for name in rows})
    spectra = wide_spectra(table, imaginary_sign=-1)
    some = spectra[::40]
    assert np.median([kramers_kronig(one).rms_fraction for one in some]) < 0.003
    wrong = wide_spectra(table, imaginary_sign=1)[0]
    assert kramers_kronig(wrong).rms_fraction > 0.1
    assert all(0.33 < ohmic_intercept(one) < 0.5 for one in some)
    assert semicircle(spectra[0]).width_ohm == pytest.approx(0.654, abs=0.001)
    assert semicircle(spectra[-1]).width_ohm > 1.2 * semicircle(spectra[0]).width_ohm
    fit = fit_circuit(spectra[0], arc_count=2, inductive=False)
    assert fit.rms_fraction < 0.025


def test_sweeps_without_frequencies_are_no_spectra_but_do_not_crash() -> None:
    if not NASA.is_file():
        pytest.skip("the impedance sweeps are not there: set CELLWARDEN_DATA")
    import duckdb

    rows = duckdb.sql(
        f"select zrect_re_ohm, zrect_im_ohm from '{NASA}'"
        " where battery_id = 'B0005' and test_id = 40 order by point"
    ).fetchnumpy()
    whole = rows["zrect_re_ohm"].astype(float) + 1j * rows["zrect_im_ohm"].astype(float)
    spectrum = Spectrum(np.full(len(whole), np.nan), whole)  # the source has no frequency axis
    assert len(spectrum) == 0
    assert np.isnan(ohmic_intercept(spectrum))


def test_the_error_of_one_resistance_is_that_of_a_mean() -> None:
    made = 0.05 * (1 + np.array([0.01, -0.02, 0.005]))
    found = fit_circuit(
        Spectrum(HERTZ[:3], made + 0j), arc_count=0, inductive=False, diffusive=False
    )
    value, std = found["series_ohm"]
    weight = value / made
    left = np.sum((weight - 1) ** 2) / (2 * 3 - 1)
    assert std == pytest.approx(value * np.sqrt(left / np.sum(weight**2)), rel=1e-6)


def test_a_parameter_on_its_bound_has_no_error_bar() -> None:
    steep = circuit_impedance(
        np.array([0.02, 0.03, 0.2, 1.15]), HERTZ, arc_count=1, inductive=False, diffusive=False
    )
    found = fit_circuit(Spectrum(HERTZ, steep), arc_count=1, inductive=False, diffusive=False)
    exponent, std = found["arc_1_exponent"]
    assert exponent == pytest.approx(1.0, abs=1e-5)
    assert np.isnan(std)
    assert np.isfinite(found["arc_1_ohm"][1])
