"""One look for every picture: sizes, inks that the colour-blind tell apart, files that repeat."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cellwarden.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "INKS",
    "MOST_CURVES",
    "SUFFIXES",
    "beside",
    "blank",
    "name_ramp",
    "ramp",
    "stacked",
    "write",
]

# Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision.
INKS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SUFFIXES: Final = (".png", ".svg")
MOST_CURVES: Final = 60  # more than these run together
_SIZE_INCH: Final = (7.2, 4.4)
_DOTS_PER_INCH: Final = 150
_RAMP: Final = (0.0, 0.88)  # of viridis; its last yellow is lost on white
_SETTINGS: Final[Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "cellwarden",  # the same record gives the same file
    "svg.fonttype": "path",
}


@contextmanager
def _settings() -> Iterator[None]:
    try:
        from matplotlib import rc_context  # noqa: PLC0415  pictures are an extra
    except ImportError as error:
        raise UsageError(
            "pictures need matplotlib", hint="pip install 'cellwarden[plot]'"
        ) from error
    with rc_context(_SETTINGS):
        yield


def blank(
    title: str, across: str, up: str, *, note: str = "", square: bool = False
) -> "tuple[Figure, Axes]":
    """A figure with one pair of axes, named with their units; `note` stands small by the title.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with _settings():
        figure = _figure()
        axes = figure.add_subplot()
        _title(axes, title, note)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        if square:
            axes.set_aspect("equal", adjustable="datalim")
    return figure, axes


def stacked(
    title: str, across: str, ups: tuple[str, str], *, note: str = ""
) -> "tuple[Figure, Axes, Axes]":
    """A figure with a tall pair of axes over a low one, which share what runs across.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with _settings():
        figure = _figure()
        grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
        above = figure.add_subplot(grid[0])
        below = figure.add_subplot(grid[1], sharex=above)
        _title(above, title, note)
        above.tick_params(labelbottom=False)
        below.set_xlabel(across)
        for axes, up in zip((above, below), ups, strict=True):
            axes.set_ylabel(up)
    return figure, above, below


def beside(title: str, acrosses: tuple[str, str], up: str) -> "tuple[Figure, Axes, Axes]":
    """A wide figure with two pairs of axes; `up` names what runs up the right one.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with _settings():
        figure = _figure((1.5 * _SIZE_INCH[0], _SIZE_INCH[1]))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        for axes, across in zip((left, right), acrosses, strict=True):
            axes.set_xlabel(across)
        right.set_ylabel(up)
    return figure, left, right


def _figure(size_inch: tuple[float, float] = _SIZE_INCH) -> "Figure":
    from matplotlib.figure import Figure  # noqa: PLC0415  likewise

    return Figure(figsize=size_inch, layout="constrained")


def _title(axes: "Axes", title: str, note: str) -> None:
    axes.set_title(title)
    axes.set_title(note, loc="right", fontsize=8, fontweight="normal", color="#555555")


def ramp(share: "np.ndarray | float") -> np.ndarray:
    """Colours from early (dark blue) to late (green), for shares from 0 to 1. [1]"""
    from matplotlib import colormaps  # noqa: PLC0415  likewise

    low, high = _RAMP
    return np.asarray(colormaps["viridis"](low + (high - low) * np.asarray(share)))


def name_ramp(figure: "Figure", axes: "Axes", title: str, first: float, last: float) -> None:
    """A bar beside the axes that says which colour is which."""
    if last <= first:
        return
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415  likewise
    from matplotlib.colors import ListedColormap, Normalize  # noqa: PLC0415  likewise

    colours = ListedColormap([tuple(colour) for colour in ramp(np.linspace(0, 1, 128))])
    bar = figure.colorbar(ScalarMappable(Normalize(first, last), colours), ax=axes, pad=0.02)
    bar.set_label(title)
    bar.outline.set_visible(False)


def write(figure: "Figure", path: Path) -> None:
    """A picture as PNG or SVG, by the suffix; a reader never sees half of it.

    Raises:
        UsageError: the suffix is neither.
        UnavailableError: it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{path}: pictures are written as {' or '.join(SUFFIXES)}", hint="Change the suffix."
        )
    passing = path.with_name(f".{path.name}.part")
    with _settings():
        try:
            figure.savefig(
                passing,
                format=path.suffix.lower()[1:],
                dpi=_DOTS_PER_INCH,
                metadata={"Date": None} if path.suffix.lower() == ".svg" else None,
            )
            passing.replace(path)
        except OSError as error:
            passing.unlink(missing_ok=True)
            raise UnavailableError(
                f"{path}: {error.strerror}", hint="Check the folder, its rights and its space."
            ) from error
