"""Pictures show what the values say, the same record gives the same file, and half of none."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError, UnavailableError, UsageError
from cellwarden.features.curves import branches
from cellwarden.features.summary import cycle_table
from cellwarden.plots import fade, fan, histogram, incremental, nyquist, sweeps, write


def record(cycles: int = 3) -> Series:
    """Discharges of 1 A that end 2 % earlier each cycle, and charges between."""
    time, voltage, current, number = [0.0], [3.59], [0.0], [1]
    for cycle in range(1, cycles + 1):
        for sign in (-1.0, 1.0):
            second = 3600.0 * (1 - 0.02 * cycle)
            for share in np.linspace(0, 1, 40):
                time.append(time[-1] + second / 40)
                voltage.append(3.6 + sign * 0.6 * float(share) - 0.01 * cycle)
                current.append(sign)
                number.append(cycle)
    return Series(
        "made",
        np.array(time),
        np.array(voltage),
        np.array(current),
        cycle_count=np.array(number),
    )


def spectra(count: int) -> Table:
    """A resistor before a resistor beside a capacitor: a half circle from 10 to 30 mΩ."""
    frequency = np.geomspace(1e4, 1e-2, 61)
    z = 0.010 + 0.020 / (1 + 1j * frequency / 10.0)
    return Table(
        "cell",
        "spectra",
        {
            "frequency_hertz": np.tile(frequency, count),
            "impedance_real_ohm": np.tile(z.real, count),
            "impedance_imaginary_ohm": np.tile(z.imag, count),
        },
    )


def lines(figure: Figure) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in figure.axes[0].lines
    ]


def test_a_fan_has_a_line_a_cycle_that_ends_at_its_capacity() -> None:
    taken = branches(record(), "discharge")
    drawn = lines(fan("made", taken))
    assert len(drawn) == 3
    assert [x[-1] for x, _ in drawn] == pytest.approx(list(taken.capacity_ah()))


def test_a_fan_of_named_cycles_draws_those_alone() -> None:
    drawn = lines(fan("made", branches(record(5), "discharge"), (2, 4)))
    assert len(drawn) == 2


def test_a_fan_of_cycles_that_are_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="no discharge to draw"):
        fan("made", branches(record(), "discharge"), (99,))


def test_many_cycles_are_thinned_to_what_can_be_told_apart() -> None:
    figure = fan("made", branches(record(200), "discharge"))
    assert len(lines(figure)) == 60


def test_fade_shows_each_discharge_and_marks_what_was_aborted() -> None:
    table = cycle_table(record(30))
    capacity = table["discharging_capacity_ah"].copy()
    capacity[12] = 0.01
    columns = {**table.columns, "discharging_capacity_ah": capacity}
    figure = fade(Table("made", "cycles", columns), 1.0)
    whole, aborted, limit = lines(figure)
    assert len(whole[0]) == 29
    assert list(aborted[1]) == [0.01]
    assert list(limit[1]) == [0.8, 0.8]
    assert len(figure.axes) == 2, "efficiency stands below"


def test_fade_of_a_table_without_a_discharge_is_refused() -> None:
    none = {"cycle_count": np.arange(3), "discharging_capacity_ah": np.full(3, np.nan)}
    with pytest.raises(DataError, match="no cycle with a discharge"):
        fade(Table("made", "cycles", none))


def test_incremental_capacity_of_a_straight_discharge_is_flat() -> None:
    """0.6 V are passed in 0.98 Ah, so every volt holds 0.98 / 0.6 Ah."""
    _, slope = lines(incremental("made", branches(record(1), "discharge")))[0]
    inner = slope[np.isfinite(slope)][20:-20]
    assert inner == pytest.approx(np.full(len(inner), 0.98 / 0.6), rel=0.05)


def test_a_half_circle_is_drawn_above_the_axis_in_milliohm() -> None:
    x, y = lines(nyquist("cell", sweeps(spectra(1))))[0]
    assert y.max() == pytest.approx(10.0, rel=0.01)
    assert x.min() == pytest.approx(10.0, abs=0.1)


def test_sweeps_behind_each_other_are_as_many_lines() -> None:
    curves = [
        line
        for line in nyquist("cell", sweeps(spectra(4))).axes[0].lines
        if line.get_linestyle() == "-"
    ]
    assert len(curves) == 4


def test_a_table_without_spectra_is_refused_by_what_it_has() -> None:
    with pytest.raises(DataError, match="among a, b"):
        sweeps(Table("t", "facts", {"a": np.zeros(2), "b": np.zeros(2)}))


def test_a_row_a_spectrum_is_the_same_as_a_row_a_point() -> None:
    """Here the file holds -Im, as many do: the numbers tell."""
    long = spectra(1)
    wide: dict[str, np.ndarray] = {"cell": np.array(["a"])}
    for f, re_ohm, im_ohm in zip(*long.columns.values(), strict=True):
        wide[f"ZReal_{f!r}Hz".replace("np.float64(", "").replace(")", "")] = np.array([re_ohm])
        wide[f"ZImag_{f!r}Hz".replace("np.float64(", "").replace(")", "")] = np.array([-im_ohm])
    (one,), (other,) = sweeps(Table("w", "spectra", wide)), sweeps(long)
    np.testing.assert_allclose(one.impedance_ohm, other.impedance_ohm)
    np.testing.assert_allclose(one.frequency_hertz, other.frequency_hertz)


def test_spectra_without_frequencies_are_drawn_without_dots() -> None:
    z = spectra(2)
    points = {
        "point": np.tile(np.arange(61), 2),
        "z_re_ohm": z["impedance_real_ohm"],
        "z_im_ohm": z["impedance_imaginary_ohm"],
    }
    figure = nyquist("n", sweeps(Table("n", "spectra", points)))
    assert [len(x) for x, _ in lines(figure)] == [61, 0, 61, 0]


def test_a_record_is_counted_in_hours() -> None:
    series = record()
    bars = histogram(series, "current_ampere").axes[0].patches
    total = sum(bar.get_height() for bar in bars)  # type: ignore[attr-defined]
    assert total == pytest.approx(series.test_time_second[-1] / 3600)


def test_a_gap_counts_for_nothing() -> None:
    series = record()
    late = series.test_time_second.copy()
    late[100:] += 1e6
    moved = Series("made", late, series.voltage_volt, series.current_ampere)
    bars = histogram(moved, "voltage_volt").axes[0].patches
    total = sum(bar.get_height() for bar in bars)  # type: ignore[attr-defined]
    assert total < series.test_time_second[-1] / 3600


def test_a_column_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        histogram(record(), "soc_fraction")
    assert "voltage_volt" in caught.value.hint


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_record_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write(fan("made", branches(record(), "discharge")), tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) > 5_000
    if suffix == ".svg":
        assert not re.search(rb"<dc:date>", first)


def test_another_suffix_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        write(nyquist("cell", sweeps(spectra(1))), tmp_path / "a.gif")
    with pytest.raises(UnavailableError):
        write(nyquist("cell", sweeps(spectra(1))), tmp_path / "missing" / "a.png")
    assert not list(tmp_path.iterdir())
