"""Impedance spectra: where they cross the real axis, whether they can be true, a circuit's fit.

Rules
- Spectra run from high to low frequency, whatever the order of the file; points without a value
  or of a size that no instrument measures are left out. A capacitive impedance has a negative
  imaginary part.
- The ohmic intercept is the real part where the imaginary part changes from inductive to
  capacitive; where the spectrum does not reach it, it is NaN and never the first point.
- Kramers-Kronig: a chain of RC elements is fitted to the points; only a spectrum of a linear,
  stable system is matched by it. The count of elements grows until `over_fraction` says that
  further ones would fit noise.
- A circuit is fitted in logarithms of its parameters, within bounds that derive from the
  spectrum, with residuals relative to |Z|, from several starts drawn with the seed given.

Sources: B. A. Boukamp, J. Electrochem. Soc. 142, 1885 (1995), doi 10.1149/1.2044210; M. Schönleber,
D. Klotz, E. Ivers-Tiffée, Electrochim. Acta 131, 20 (2014), doi 10.1016/j.electacta.2014.01.034,
eq. 21 for the count of elements.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Complex128, Float64
from scipy.optimize import least_squares

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError

__all__ = [
    "CircuitFit",
    "KramersKronig",
    "Semicircle",
    "Spectrum",
    "circuit_impedance",
    "fit_circuit",
    "kramers_kronig",
    "long_spectra",
    "ohmic_intercept",
    "semicircle",
    "wide_spectra",
]

_EXPONENT: Final = (0.3, 1.0)  # of a constant-phase element; below 0.3 it is no arc any more
_HERTZ: Final = (1e-9, 1e12)  # further out it is no measurement
_OHM: Final = (1e-12, 1e12)  # likewise
_FAR: Final = 1e4  # bounds of resistances relative to the spectrum's own size


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """One sweep, from high to low frequency."""

    frequency_hertz: Float64[np.ndarray, " point"]
    impedance_ohm: Complex128[np.ndarray, " point"]

    def __post_init__(self) -> None:
        if len(self.frequency_hertz) != len(self.impedance_ohm):
            raise DataError(
                f"{len(self.frequency_hertz)} frequencies, {len(self.impedance_ohm)} impedances",
                hint="Give one impedance a frequency.",
            )
        known = np.isfinite(self.frequency_hertz) & np.isfinite(self.impedance_ohm)
        known &= (self.frequency_hertz > _HERTZ[0]) & (self.frequency_hertz < _HERTZ[1])
        size = np.maximum(np.abs(self.impedance_ohm.real), np.abs(self.impedance_ohm.imag))
        known &= (size > _OHM[0]) & (size < _OHM[1])
        place = np.flatnonzero(known)
        place = place[np.argsort(-self.frequency_hertz[place], kind="stable")]
        object.__setattr__(self, "frequency_hertz", self.frequency_hertz[place])
        object.__setattr__(self, "impedance_ohm", self.impedance_ohm[place])

    def __len__(self) -> int:
        return len(self.frequency_hertz)


@dataclass(frozen=True, slots=True)
class Semicircle:
    """The arc after the ohmic intercept: its width, the frequency of its top, its far end."""

    width_ohm: float
    top_frequency_hertz: float
    end_resistance_ohm: float
    end_frequency_hertz: float


@dataclass(frozen=True, slots=True, eq=False)
class KramersKronig:
    """What the chain leaves over, relative to |Z| at each point.

    `over_fraction` is μ of Schönleber: near one when all resistances are of one sign, falling as
    elements begin to fit noise.
    """

    real_residual_fraction: Float64[np.ndarray, " point"]
    imaginary_residual_fraction: Float64[np.ndarray, " point"]
    element_count: int
    over_fraction: float

    @property
    def rms_fraction(self) -> float:
        """Root mean square of both residuals. [1]"""
        if not len(self.real_residual_fraction):
            return float("nan")
        both = self.real_residual_fraction**2 + self.imaginary_residual_fraction**2
        return float(np.sqrt(both.mean() / 2))

    @property
    def largest_fraction(self) -> float:
        """The largest residual of either part. [1]"""
        parts = self.real_residual_fraction, self.imaginary_residual_fraction
        return max((float(np.abs(part).max()) for part in parts if len(part)), default=float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class CircuitFit:
    """R0 + L + arcs of R parallel to a constant-phase element + Warburg, with standard errors.

    The arcs come from fast to slow. `names`, `values` and `std` go together: `series_ohm`,
    `inductance_henry`, then `arc_ohm`, `arc_second` (its time constant) and `arc_exponent` of each
    arc with its number, then `warburg_ohm_per_root_second` (σ of σ(1 - j)/√ω). A standard error is
    NaN where a parameter lies on its bound or the spectrum does not tell it.
    """

    names: tuple[str, ...]
    values: Float64[np.ndarray, " parameter"]
    std: Float64[np.ndarray, " parameter"]
    arc_count: int
    inductive: bool
    diffusive: bool
    rms_fraction: float
    converged: bool

    def __getitem__(self, name: str) -> tuple[float, float]:
        """A parameter and its standard error by name."""
        at = self.names.index(name)
        return float(self.values[at]), float(self.std[at])

    def impedance_ohm(
        self, frequency_hertz: Float64[np.ndarray, " point"]
    ) -> Complex128[np.ndarray, " point"]:
        """The circuit at given frequencies. [Ω]"""
        return circuit_impedance(
            self.values,
            frequency_hertz,
            arc_count=self.arc_count,
            inductive=self.inductive,
            diffusive=self.diffusive,
        )


def wide_spectra(
    table: Table,
    *,
    imaginary_sign: int,
    real_prefix: str = "ZReal_",
    imaginary_prefix: str = "ZImag_",
) -> list[Spectrum]:
    """One spectrum a row, where each column is a part of Z at a frequency, as `ZReal_20Hz`.

    `imaginary_sign` is -1 where the file holds -Im(Z); a wrong one shows in `kramers_kronig`.

    Raises:
        DataError: no such columns, or a part is missing for a frequency.
        UsageError: the sign is neither.
    """
    _check_sign(imaginary_sign)
    named = {
        name.removeprefix(real_prefix).removesuffix("Hz"): name
        for name in table
        if name.startswith(real_prefix)
    }
    missing = [text for text in named if f"{imaginary_prefix}{text}Hz" not in table]
    if not named or missing:
        raise DataError(
            f"{table.name}: no columns {real_prefix}<f>Hz and {imaginary_prefix}<f>Hz in pairs",
            hint="Name the prefixes, or use long_spectra for one row a point.",
        )
    try:
        frequency = np.array([float(text) for text in named])
    except ValueError:
        raise DataError(
            f"{table.name}: a column's frequency is no number", hint="Name columns as ZReal_20Hz."
        ) from None
    real = [_numbers(table, name) for name in named.values()]
    imaginary = [_numbers(table, f"{imaginary_prefix}{text}Hz") for text in named]
    whole = _complex(np.stack(real, axis=1), imaginary_sign * np.stack(imaginary, axis=1))
    return [Spectrum(frequency, row) for row in whole]


def long_spectra(
    table: Table,
    *,
    frequency_column: str,
    real_column: str,
    imaginary_column: str,
    imaginary_sign: int,
    sweep_columns: tuple[str, ...] = (),
) -> Iterator[tuple[tuple[object, ...], Spectrum]]:
    """Spectra of a table with one row a point: the values of `sweep_columns`, and the sweep.

    `imaginary_sign` is -1 where the file holds -Im(Z), as EC-Lab writes it, and 1 elsewhere.

    Raises:
        UsageError: a column is not there, or the sign is neither.
    """
    _check_sign(imaginary_sign)
    frequency = _numbers(table, frequency_column)
    imaginary = imaginary_sign * _numbers(table, imaginary_column)
    whole = _complex(_numbers(table, real_column), imaginary)
    keys = list(zip(*(table[name].tolist() for name in sweep_columns), strict=True))
    rows: dict[tuple[object, ...], list[int]] = {}
    for number in range(len(table)):
        rows.setdefault(keys[number] if keys else (), []).append(number)
    for key, chosen in rows.items():
        yield key, Spectrum(frequency[chosen], whole[chosen])


def ohmic_intercept(spectrum: Spectrum) -> float:
    """Resistance where the spectrum crosses the real axis from high frequency; NaN if never. [Ω]"""
    imaginary = spectrum.impedance_ohm.imag
    at = _crossing(spectrum)
    if at is None:
        return float("nan")
    upper, lower = imaginary[at], imaginary[at + 1]
    part = float(upper / (upper - lower))
    real = spectrum.impedance_ohm.real
    return float(real[at] + part * (real[at + 1] - real[at]))


def semicircle(spectrum: Spectrum) -> Semicircle:
    """The arc between the ohmic intercept and the valley before diffusion. [Ω, Hz]

    The valley is the first local minimum of -Im(Z) after the largest -Im(Z) that lies before it;
    all NaN where there is no intercept or no valley.
    """
    nan = float("nan")
    none = Semicircle(nan, nan, nan, nan)
    at, start = _crossing(spectrum), ohmic_intercept(spectrum)
    if at is None:
        return none
    minus = -spectrum.impedance_ohm.imag[at + 1 :]
    inner = np.arange(1, max(len(minus) - 1, 1))
    if len(minus) < 3:  # noqa: PLR2004  a top and a valley take three points
        return none
    tops = inner[(minus[inner] >= minus[inner - 1]) & (minus[inner] > minus[inner + 1])]
    valleys = inner[(minus[inner] <= minus[inner - 1]) & (minus[inner] < minus[inner + 1])]
    valleys = valleys[valleys > tops[0]] if len(tops) else tops
    if not len(valleys):
        return none
    valley = at + 1 + int(valleys[-1])
    top = at + 1 + int(np.argmax(minus[: valleys[-1]]))
    end = float(spectrum.impedance_ohm.real[valley])
    hertz = spectrum.frequency_hertz
    return Semicircle(end - start, float(hertz[top]), end, float(hertz[valley]))


def kramers_kronig(
    spectrum: Spectrum, *, over_fraction: float = 0.85, most_elements: int | None = None
) -> KramersKronig:
    """How far a spectrum is from what any linear, stable system can show. [1]

    The defaults are Schönleber's: μ of 0.85, at most as many elements as points.
    """
    count = len(spectrum)
    if count < 3:  # noqa: PLR2004  one element and two points say nothing
        return KramersKronig(np.empty(0), np.empty(0), 0, float("nan"))
    most = count if most_elements is None else min(most_elements, count)
    found = _chain(spectrum, 2)
    for elements in range(3, most + 1):
        if found.over_fraction <= over_fraction:
            break
        found = _chain(spectrum, elements)
    return found


def circuit_impedance(
    values: Float64[np.ndarray, " parameter"],
    frequency_hertz: Float64[np.ndarray, " point"],
    *,
    arc_count: int,
    inductive: bool = True,
    diffusive: bool = True,
) -> Complex128[np.ndarray, " point"]:
    """R0 [+ jωL] + Σ R/(1 + (jωτ)^α) [+ σ(1 - j)/√ω]. [Ω]

    Parameters stand in the order of `CircuitFit.names`.
    """
    omega = 2 * np.pi * np.asarray(frequency_hertz, dtype=np.float64)
    whole = np.full(len(omega), values[0], dtype=np.complex128)
    at = 1
    if inductive:
        whole += 1j * omega * values[at]
        at += 1
    for _ in range(arc_count):
        arc, tau, exponent = values[at : at + 3]
        whole += arc / (1 + (1j * omega * tau) ** exponent)
        at += 3
    if diffusive:
        whole += values[at] * (1 - 1j) / np.sqrt(omega)
    return whole


def fit_circuit(
    spectrum: Spectrum,
    *,
    arc_count: int,
    inductive: bool = True,
    diffusive: bool = True,
    start_count: int = 8,
    seed: int = 0,
) -> CircuitFit:
    """The circuit that matches a spectrum best, with standard errors. [Ω, H, s, 1, Ω/√s]

    Raises:
        DataError: the spectrum has fewer numbers than the circuit has parameters.
    """
    names = _names(arc_count, inductive=inductive, diffusive=diffusive)
    if 2 * len(spectrum) <= len(names):
        raise DataError(
            f"{len(spectrum)} points cannot tell {len(names)} parameters",
            hint="Take fewer arcs, or a longer sweep.",
        )
    low, high = _bounds(spectrum, arc_count, inductive=inductive, diffusive=diffusive)
    target, hertz = spectrum.impedance_ohm, spectrum.frequency_hertz
    size = np.abs(target)

    def residual(logs: Float64[np.ndarray, " parameter"]) -> Float64[np.ndarray, " residual"]:
        made = circuit_impedance(
            np.exp(logs), hertz, arc_count=arc_count, inductive=inductive, diffusive=diffusive
        )
        away = made - target
        return np.concatenate([away.real / size, away.imag / size])

    rng = np.random.default_rng(seed)
    starts = _starts(
        low, high, arc_count=arc_count, inductive=inductive, start_count=start_count, rng=rng
    )
    runs = [least_squares(residual, one, bounds=(low, high), x_scale=1.0) for one in starts]
    best = min(runs, key=lambda run: float(run.cost))
    values, std = np.exp(best.x), _errors(best.jac, best.fun, best.x, low, high)
    order = _fast_first(values, arc_count, inductive=inductive)
    rms = float(np.sqrt(np.mean(best.fun**2)))
    return CircuitFit(
        names,
        values[order],
        (values * std)[order],
        arc_count,
        inductive,
        diffusive,
        rms,
        bool(best.success),
    )


def _numbers(table: Table, name: str) -> Float64[np.ndarray, " row"]:
    try:
        return np.asarray(table[name], dtype=np.float64)
    except ValueError:
        raise DataError(
            f"{table.name}: column {name} is text", hint="Name a column of numbers."
        ) from None


def _complex(
    real: Float64[np.ndarray, "*shape"], imaginary: Float64[np.ndarray, "*shape"]
) -> Complex128[np.ndarray, "*shape"]:
    """Both parts together; a product with 1j would turn infinite readings into warnings."""
    whole = np.empty(real.shape, dtype=np.complex128)
    whole.real, whole.imag = real, imaginary
    return whole


def _check_sign(sign: int) -> None:
    if sign not in (-1, 1):
        raise UsageError(f"{sign} is no sign", hint="Use -1 where the file holds -Im(Z).")


def _crossing(spectrum: Spectrum) -> int | None:
    """The last point before -Im(Z) turns positive for the first time. [1]"""
    imaginary = spectrum.impedance_ohm.imag
    at = np.flatnonzero((imaginary[:-1] >= 0) & (imaginary[1:] < 0))
    return int(at[0]) if len(at) else None


def _chain(spectrum: Spectrum, elements: int) -> KramersKronig:
    """Series resistance, inductance, capacitance and RC elements, by linear least squares."""
    omega = 2 * np.pi * spectrum.frequency_hertz
    target = spectrum.impedance_ohm
    size = np.abs(target)
    tau = np.geomspace(1 / omega[0], 1 / omega[-1], elements)
    columns = [np.ones(len(omega)) + 0j, 1j * omega, 1 / (1j * omega)]
    columns += [1 / (1 + 1j * omega * one) for one in tau]
    design = np.stack(columns, axis=1) / size[:, None]
    scale = np.sqrt((np.abs(design) ** 2).sum(axis=0))
    real = np.concatenate([design.real, design.imag]) / scale
    wanted = np.concatenate([target.real / size, target.imag / size])
    weights = np.linalg.lstsq(real, wanted, rcond=None)[0]
    left = wanted - real @ weights
    resistance = weights[3:] / scale[3:]
    negative, positive = -resistance[resistance < 0].sum(), resistance[resistance >= 0].sum()
    over = 1.0 - float(negative / positive) if positive > 0 else float("-inf")
    return KramersKronig(left[: len(omega)], left[len(omega) :], elements, over)


def _names(arc_count: int, *, inductive: bool, diffusive: bool) -> tuple[str, ...]:
    names = ["series_ohm"] + ["inductance_henry"] * inductive
    for number in range(1, arc_count + 1):
        names += [f"arc_{number}_ohm", f"arc_{number}_second", f"arc_{number}_exponent"]
    return (*names, *["warburg_ohm_per_root_second"] * diffusive)


def _bounds(
    spectrum: Spectrum, arc_count: int, *, inductive: bool, diffusive: bool
) -> tuple[Float64[np.ndarray, " parameter"], Float64[np.ndarray, " parameter"]]:
    """Logarithms between which each parameter lies: from the spectrum's size and its sweep."""
    size = float(np.abs(spectrum.impedance_ohm).max())
    omega = 2 * np.pi * spectrum.frequency_hertz
    resistance = (size / _FAR, size * 10)
    pairs = [resistance]
    if inductive:
        pairs.append((size / omega[0] / _FAR, size / omega[0] * 10))
    for _ in range(arc_count):
        pairs += [resistance, (0.1 / omega[0], 10 / omega[-1]), _EXPONENT]
    if diffusive:
        root = float(np.sqrt(omega[-1]))
        pairs.append((size * root / _FAR, size * root * 10))
    low, high = np.log(np.array(pairs)).T
    return low, high


def _starts(
    low: Float64[np.ndarray, " parameter"],
    high: Float64[np.ndarray, " parameter"],
    *,
    arc_count: int,
    inductive: bool,
    start_count: int,
    rng: np.random.Generator,
) -> list[Float64[np.ndarray, " parameter"]]:
    """Arcs spread evenly over the sweep first, then drawn."""
    span = high - low
    first = low + 0.6 * span
    at = 1 + inductive
    for number in range(arc_count):
        first[at + 3 * number + 1] = (low + (number + 1) / (arc_count + 1) * span)[at + 1]
        first[at + 3 * number + 2] = low[at + 2] + 0.9 * span[at + 2]
    drawn = [low + span * rng.uniform(0.05, 0.95, len(low)) for _ in range(start_count - 1)]
    return [first, *drawn]


def _errors(
    slope: Float64[np.ndarray, "residual parameter"],
    residual: Float64[np.ndarray, " residual"],
    logs: Float64[np.ndarray, " parameter"],
    low: Float64[np.ndarray, " parameter"],
    high: Float64[np.ndarray, " parameter"],
) -> Float64[np.ndarray, " parameter"]:
    """Standard errors of the logarithms: s² (JᵀJ)⁻¹ over the parameters inside their bounds."""
    margin = 1e-6 * (high - low)
    free = (logs > low + margin) & (logs < high - margin)
    found = np.full(len(logs), np.nan)
    left = len(residual) - int(free.sum())
    inner = slope[:, free]
    if left <= 0 or not free.any() or np.linalg.matrix_rank(inner) < inner.shape[1]:
        return found
    variance = float(residual @ residual) / left * np.diag(np.linalg.inv(inner.T @ inner))
    found[free] = np.sqrt(np.maximum(variance, 0.0))
    return found


def _fast_first(
    values: Float64[np.ndarray, " parameter"], arc_count: int, *, inductive: bool
) -> np.ndarray:
    """The order of parameters with the arcs from the shortest time constant to the longest."""
    head = 1 + inductive
    arcs = np.arange(arc_count)[np.argsort(values[head + 1 : head + 3 * arc_count : 3])]
    middle = (head + 3 * arcs[:, None] + np.arange(3)).ravel()
    tail = np.arange(head + 3 * arc_count, len(values))
    return np.concatenate([np.arange(head), middle, tail]).astype(np.int64)
