"""What features tell of a cell: curves, early life, peaks, pulses, impedance, windows, usage.

    python examples/features.py                  every part
    python examples/features.py pulses usage     some of them

Each part makes a signal whose answer is known and prints what the features say of it, beside the
truth. Put a record of your own in their place with `cellwarden.readers.load`.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from cellwarden import features
from cellwarden.domain import Series


def made_record(cycles: int = 100, rows: int = 200) -> Series:
    """A cell that loses 0.5 mAh of 1 Ah a cycle, 1 A both ways, at 30 °C."""
    share, cycle = np.linspace(0.0, 1.0, rows), np.arange(1, cycles + 1)
    capacity = 1.0 - 5e-4 * cycle[:, None]
    sag = 1e-3 * cycle[:, None] * np.sin(np.pi * share) ** 2
    into = np.hstack([np.full((cycles, 1), 2.5), 2.6 + share + 0 * sag])
    out = np.hstack([np.full((cycles, 1), 3.5), 3.45 - 1.4 * share - sag])
    begin = 7400.0 * cycle[:, None]
    time = np.hstack(
        [
            begin,
            begin + 1 + 3600 * share + 0 * sag,
            begin + 3700,
            begin + 3700.1 + 3600 * share * capacity,
        ]
    )
    current = np.tile(np.r_[0.0, np.ones(rows), 0.0, -np.ones(rows)], cycles)
    return Series(
        "made",
        time.ravel(),
        np.hstack([into, out]).ravel(),
        current,
        surface_temperature_celsius=np.full(current.shape, 30.0),
        cycle_count=np.repeat(cycle, 2 * rows + 2),
    )


def curves() -> None:
    """Q(V) and V(Q) of every cycle, and ΔQ(V) of two."""
    taken = features.branches(made_record(), "discharge")
    grid = np.linspace(3.4, 2.1, 500)
    charge = features.charge_matrix(taken, grid, gap_ah=0.05)
    volt = features.voltage_matrix(taken, np.linspace(0.0, 0.9, 10), gap_ah=0.05)
    print("Q(V):", charge.shape, "cycles and volts; V(Q):", volt.shape, "cycles and ampere-hours")
    print("V(Q) of cycle 1:", np.round(volt[0], 3))
    for name, value in asdict(features.delta_statistics(charge[99] - charge[9])).items():
        print(f"ΔQ(V), cycle 100 less cycle 10: {name} {value:.4g}")


def early() -> None:
    """The twelve features of the first hundred cycles; the truth: a slope of -0.0005 Ah a cycle."""
    found = features.early_features(
        made_record(),
        np.linspace(3.4, 2.1, 500),
        gap_ah=0.05,
        resistance_delay_second=0.0,
        record_complete=True,
    )
    for name, value in found.columns().items():
        print(f"{name} {value:.6g}")


def incremental() -> None:
    """Peaks of dQ/dV; the truth: bells at 3.5 V and 3.8 V with widths of 30 mV and 50 mV."""
    volt = np.linspace(3.0, 4.2, 2001)
    bells = 0.8 / 0.03 * np.exp(-0.5 * ((volt - 3.5) / 0.03) ** 2)
    bells += 1.2 / 0.05 * np.exp(-0.5 * ((volt - 3.8) / 0.05) ** 2)
    slope = 0.3 + bells / (2 * np.pi) ** 0.5
    charge = np.concatenate([[0.0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(volt))])
    noise = 2e-4
    seen = volt + noise * np.random.default_rng(7).standard_normal(len(volt))
    print(f"noise of the voltage: {features.voltage_noise_volt(seen):.2e} V, made with {noise} V")
    found, sure = features.peak_uncertainty(
        seen,
        charge,
        np.linspace(3.0, 4.2, 1201),
        direction="charge",
        smoothing=features.Smoothing("savgol", 0.04),
        gap_ah=0.1,
        least_prominence=1.0,
        noise_volt=noise,
        repeat_count=50,
        seed=7,
    )
    for k in range(len(found)):
        print(
            f"peak at {found.position[k]:.4f} ± {sure.position_std[k]:.4f} V, "
            f"{found.height[k]:.2f} ± {sure.height_std[k]:.2f} Ah/V, "
            f"{1e3 * found.width[k]:.0f} mV wide, {found.area[k]:.3f} Ah"
        )
    told = features.differential_voltage(
        volt,
        charge,
        np.linspace(0.0, float(charge[-1]), 801),
        direction="charge",
        smoothing=features.Smoothing("gaussian", 0.01),
        gap_ah=0.1,
    )
    middle = float(np.interp(told.grid[400], charge, slope))
    print(f"dV/dQ half way: {told.values[400]:.4f} V/Ah; the truth {1 / middle:.4f}")


def pulses() -> None:
    """Resistance of pulses and pauses; the truth: 20 mΩ at once, 10 mΩ more within 5 s."""
    current = np.r_[
        np.zeros(600), np.full(101, -2.0), np.zeros(600), np.full(101, 1.5), np.zeros(9)
    ]
    time, arc = np.arange(len(current)) * 0.1, np.zeros(len(current))
    for k in range(1, len(current)):
        keep = np.exp(-0.1 / 5.0)
        arc[k] = keep * arc[k - 1] + 0.01 * (1 - keep) * current[k - 1]
    series = Series("pulses", time, 3.7 + 0.02 * current + arc, current)
    found = features.find_pulses(
        series,
        delay_second=(0.0, 5.0, 10.0),
        rest_ampere=0.01,
        longest_second=30.0,
        capacity_ah=1.0,
        first_soc_fraction=0.5,
    )
    for k in range(len(found)):
        print(
            f"{found.current_ampere[k]:+.1f} A at SOC {found.soc_fraction[k]:.3f}: ohmic"
            f" {1e3 * found.ohmic_ohm[k]:.2f} mΩ, polarisation after 0, 5, 10 s"
            f" {np.round(1e3 * found.polarisation_ohm[k], 2)} mΩ"
        )
    loaded = np.tile(np.r_[np.full(3000, -1.0), np.zeros(101)], 3)
    since = np.tile(np.r_[np.zeros(3000), 0.1 * np.arange(1, 102)], 3)
    volt = 3.7 + 0.03 * loaded + 0.002 * np.sqrt(since)
    paused = Series(
        "pauses", np.arange(len(loaded) + 1) * 0.1, np.r_[volt, 3.67], np.r_[loaded, -1]
    )
    pause = features.find_interruptions(
        paused, rest_ampere=0.01, longest_second=20.0, fit_second=(1.0, 5.0)
    )
    print(
        f"{len(pause)} pauses: {1e3 * pause.resistance_ohm[0]:.2f} mΩ,"
        f" {1e3 * pause.diffusion_ohm_per_root_second[0]:.2f} mΩ/√s (truth 30 and 2)"
    )


def impedance() -> None:
    """A spectrum's tests and fit; the truth: 20 mΩ, arcs of 10 mΩ and 30 mΩ, diffusion."""
    hertz = np.geomspace(1e4, 1e-2, 60)
    true = np.array([0.02, 1e-7, 0.01, 1e-3, 0.9, 0.03, 0.2, 0.85, 0.002])
    exact = features.circuit_impedance(true, hertz, arc_count=2)
    noise = 1e-3 * np.random.default_rng(7).standard_normal((2, 60))
    spectrum = features.Spectrum(hertz, exact * (1 + noise[0] + 1j * noise[1]))
    print(f"ohmic intercept {1e3 * features.ohmic_intercept(spectrum):.2f} mΩ")
    print(features.semicircle(spectrum))
    told = features.kramers_kronig(spectrum)
    print(f"Kramers-Kronig: {told.rms_fraction:.2%} left over with {told.element_count} elements")
    drifting = features.Spectrum(hertz, exact + 0.01 * np.linspace(0, 1, 60))
    print(f"while the cell drifts: {features.kramers_kronig(drifting).rms_fraction:.2%}")
    fit = features.fit_circuit(spectrum, arc_count=2)
    for name, value, std, made in zip(fit.names, fit.values, fit.std, true, strict=True):
        print(f"{name} {value:.4g} ± {std:.1g} (truth {made:g})")


def partial() -> None:
    """Windows and the end of a charge at 2 A with a taper of 600 s."""
    constant, taper = np.arange(0.0, 3600.0), np.arange(0.0, 2215.0)
    time = np.r_[constant, 3600 + taper]
    volt = np.r_[3.6 + constant / 6000, np.full(len(taper), 4.2)]
    current = np.r_[np.full(len(constant), 2.0), 2 * np.exp(-taper / 600)]
    coarse = np.floor(volt / 0.01) * 0.01
    found = features.voltage_windows(
        time, coarse, current, np.array([3.7, 3.9, 4.1]), direction="charge", gap_second=60.0
    )
    for k in range(len(found)):
        print(
            f"{found.low_volt[k]} to {found.high_volt[k]} V in steps of 10 mV:"
            f" {found.charge_ah[k]:.4f} Ah, open {found.uncertain_ah[k]:.4f} Ah (truth 0.6667)"
        )
    end = features.charge_end(
        time, volt, current, top_volt=4.2, window_volt=0.2, taper_ampere=(0.5, 0.1), gap_second=60.0
    )
    for name, value in asdict(end).items():
        print(f"{name} {value:.5g}")


def usage() -> None:
    """Rainflow of the standard's own example, and a day's sums."""
    rain = features.rainflow(np.array([-2.0, 1, -3, 5, -1, 3, -4, 4, -2]))
    for span in np.unique(rain.span):
        print(f"range {span:.0f}: {rain.count[rain.span == span].sum()} cycles")
    time = np.arange(0.0, 86401.0, 60.0)
    current = 2.0 * np.sin(2 * np.pi * time / 43200)
    bins = features.UsageBins(
        np.array([0.0, 25.0, 45.0]), np.linspace(0.0, 1.0, 6), np.linspace(-1.0, 1.0, 5)
    )
    state = features.Usage(bins, capacity_ah=10.0, gap_second=120.0)
    for part in np.array_split(np.arange(len(time)), 5):  # as it comes; cuts change no bit
        state = features.record_usage(
            state,
            time[part],
            current[part],
            voltage_volt=np.full(len(part), 3.7),
            temperature_celsius=20 + 10 * time[part] / 86400,
            soc_fraction=np.full(len(part), 0.55),
        )
    print(f"{state.charged_ah:.3f} Ah in, {state.discharged_ah:.3f} Ah out,", end=" ")
    print(f"{state.equivalent_full_cycle_count:.3f} equivalent full cycles")
    print(f"seconds by temperature {state.temperature_second}, by charge {state.soc_second}")
    print(f"seconds by rate {state.rate_second}")


PARTS: dict[str, Callable[[], None]] = {
    part.__name__: part for part in (curves, early, incremental, pulses, impedance, partial, usage)
}


def main(asked: list[str]) -> int:
    """Print the parts asked for, or all."""
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        print(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2
    for name in asked or PARTS:
        print(f"--- {name}")
        PARTS[name]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
