"""The card as a page of the documentation; every number on it comes from the card."""

from cellwarden.registry.card import Card, CellScore, Score

__all__ = ["page"]

_GATE = (
    "`must beat`: the code that loads the model compares these rows and refuses a model that does"
    " not beat them. *previous discharge* needs a full discharge before every estimate; it is the"
    " floor that measuring gives, which no estimate from a charge reaches.\n"
)


def page(card: Card) -> str:
    """The page of a model. [Markdown]"""
    parts = [
        f"# {card.name}: state of health from one charge\n",
        (
            f"Version {card.version}, SHA-256 `{card.digest}`. `make models` fits the model again"
            " and writes this page.\n"
        ),
        f"**What it tells.** {card.target}\n",
        f"**How.** {card.method}\n",
        f"**How it was scored.** {card.split}\n",
        _scores(card),
        _GATE,
        "## Each cell, by the fit that never saw it\n",
        _cells(card),
        _interval(card),
        _limits(card),
        f"## Life\n\nNot served: {card.life}.\n" if card.life else "",
        _sources(card),
    ]
    return "\n".join(part for part in parts if part)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _scores(card: Card) -> str:
    head = (
        "Errors in % of nominal capacity; means over cells, the largest over rows; coverage in %.\n"
        "\n| | data | must beat | MAE | RMSE | largest | coverage | cells | rows |"
        "\n|---|---|---|---|---|---|---|---|---|"
    )

    def line(row: Score) -> str:
        return (
            f"| {row.who} | {row.data} | {'yes' if row.must_beat else ''}"
            f" | {_percent(row.mae_fraction)} | {_percent(row.rmse_fraction)}"
            f" | {_percent(row.max_fraction)} | {_percent(row.coverage)}"
            f" | {row.cell_count} | {row.row_count} |"
        )

    return "\n".join([head, *(line(row) for row in card.scores)]) + "\n"


def _cells(card: Card) -> str:
    head = (
        "All rows of the cell, those outside the limits too; *served* is the share inside.\n"
        "\n| cell | rows | served % | MAE % | half-width % | coverage % |"
        "\n|---|---|---|---|---|---|"
    )

    def line(row: CellScore) -> str:
        return (
            f"| {row.cell} | {row.row_count} | {_percent(row.served_fraction)}"
            f" | {_percent(row.mae_fraction)} | {_percent(row.half_width_fraction)}"
            f" | {_percent(row.coverage)} |"
        )

    return "\n".join([head, *(line(row) for row in card.cells)]) + "\n"


def _interval(card: Card) -> str:
    return (
        f"## Interval\n\nStated coverage {card.coverage:.0%}; half-width of the fit on all cells"
        f" {card.half_width_fraction:.1%} of nominal. Whole cells are held out, the cell being"
        " what is exchangeable. Coverage found on cells left out is in the tables above; a single"
        " cell can lie well under it.\n"
    )


def _limits(card: Card) -> str:
    low, high = card.nominal_capacity_ah
    rows = [f"| {name} | {a:.4g} | {b:.4g} |" for name, a, b in card.limits]
    stated = ", ".join(card.chemistries) or "none"
    return "\n".join(
        [
            "## Limits of validity\n",
            (
                f"Chemistry stated by the training records: {stated}; a record that states another"
                " is not served, one that states none is judged by the numbers below. Nominal"
                f" capacity {low:.3g} to {high:.3g} Ah. A charge outside a row, or with features"
                " that together are unlike every training charge, gives no number.\n"
            ),
            "| | from | to |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def _sources(card: Card) -> str:
    lines = ["## Training data\n"]
    for source in card.sources:
        lines.append(f"**{source.name}** ({source.licence}). {source.citation}\n")
        lines += [f"- {name}: `{mark}`" for name, mark in source.cells]
        lines.append("")
    lines.append("A digest is the SHA-256 of a cell's usable time, voltage and current as float32.")
    return "\n".join(lines) + "\n"
