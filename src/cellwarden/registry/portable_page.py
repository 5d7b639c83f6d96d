"""The card of a portable model or a circuit as a page; every number on it comes from the card."""

from collections.abc import Sequence

from cellwarden.registry.portable_file import Label
from cellwarden.registry.trial import training_marks

__all__ = ["portable_page", "summary"]


def portable_page(label: Label, digest: str, byte_count: int, columns: Sequence[str]) -> str:
    """The page of a model. [Markdown]"""
    facts = dict(label.facts)
    parts = [
        f"# {label.name}\n",
        f"{facts.get('what', label.target)}. {byte_count:,} bytes, SHA-256 `{digest}`.\n",
        f"**Tells** {label.target}" + ("" if label.unit == "1" else f", in {label.unit}") + ".\n",
        f"**How.** {label.algorithm}.\n" if label.algorithm else "",
        _inputs(label, columns),
        _scores(label),
        _facts(label),
        _sources(label),
    ]
    return "\n".join(part for part in parts if part)


def summary(label: Label) -> tuple[str, str]:
    """The model's own error nested and on test cells, as short texts; empty where there is none."""
    told = dict(label.scores)
    found = ["", ""]
    for name, value in told.items():
        who, where, what = ([*name.split("; "), "", ""])[:3]
        if who == "model" and what in ("RMSE", "MAE"):
            place = 1 if where.startswith("test") else 0
            found[place] = _number(value, label.unit) + (" MAE" if what == "MAE" else "")
    return found[0], found[1]


def _number(value: float, unit: str) -> str:
    return f"{100 * value:.2f} %" if unit == "1" else f"{value:,.1f} {unit}"


def _inputs(label: Label, columns: Sequence[str]) -> str:
    units = label.column_units or ("",) * len(columns)
    told = ", ".join(
        f"`{name}`" + (f" [{unit}]" if unit else "")
        for name, unit in zip(columns, units, strict=True)
    )
    return f"**From** {told}.\n" if told else ""


def _scores(label: Label) -> str:
    """A table with a row for who and where, a column for each measure."""
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in label.scores:
        who, where, what = ([*name.split("; "), "", ""])[:3]
        cells.setdefault((who, where), {})[what] = value
    if not cells:
        return ""
    measures = list(dict.fromkeys(what for row in cells.values() for what in row))
    lines = [
        "## Scores\n",
        f"| who | on | {' | '.join(measures)} |",
        f"|---|---|{'---|' * len(measures)}",
    ]
    for (who, where), row in cells.items():
        numbers = (_cell(row.get(what), what, label.unit) for what in measures)
        lines.append(f"| {who} | {where} | {' | '.join(numbers)} |")
    lines.append(
        "\nA model that does not beat every row but its own is not shipped. Coverage is that of the"
        " 90 % interval; nested, of the interval that each fold made for itself.\n"
    )
    return "\n".join(lines)


def _cell(value: float | None, what: str, unit: str) -> str:
    if value is None:
        return ""
    if what == "MAPE":
        return f"{100 * value:.2f} %"
    if what.startswith("coverage"):
        return f"{value:.2f}"
    return _number(value, unit)


def _facts(label: Label) -> str:
    lines = ["## Card\n"]
    lines += [f"- **{name}**: {words}" for name, words in label.facts if name != "what"]
    return "\n".join(lines) + "\n"


def _sources(label: Label) -> str:
    lines = ["## Training data\n"]
    lines += [f"**{one.name}** ({one.licence}). {one.citation}\n" for one in label.sources]
    names = list(training_marks(label))
    lines.append(
        f"{len(names)} cells: {', '.join(names)}.\n\nThe file holds the smallest hashes of each"
        " cell's rows, by which `cellwarden score` knows a training cell again.\n"
    )
    return "\n".join(lines)
