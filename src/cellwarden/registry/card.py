"""What a model is, what it was made from, how good it is, and where it holds."""

from dataclasses import dataclass

from cellwarden.errors import UsageError

__all__ = ["Card", "CellScore", "Score", "Source", "check"]


@dataclass(frozen=True, slots=True)
class Source:
    """A data set, its licence, and the digest of what was taken from each of its cells.

    A digest is the SHA-256 of the usable rows: time, voltage and current as float32.
    """

    name: str
    licence: str
    citation: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of SOH on cells left out: means over cells, and the largest of any row.

    `must_beat` marks a baseline that the model must beat on mean and root-mean-square error;
    `coverage` is the share inside the interval, None where there is none.
    """

    who: str
    data: str
    must_beat: bool
    mae_fraction: float
    rmse_fraction: float
    max_fraction: float
    coverage: float | None
    cell_count: int
    row_count: int


@dataclass(frozen=True, slots=True)
class CellScore:
    """One cell, told by the fit that never saw it; `served_fraction` of its rows lie in limits."""

    cell: str
    row_count: int
    served_fraction: float
    mae_fraction: float
    coverage: float
    half_width_fraction: float


@dataclass(frozen=True, slots=True)
class Card:
    """The card of a model; `digest` is that of its file, and stands outside it."""

    name: str
    version: str
    digest: str
    target: str
    method: str
    split: str
    sources: tuple[Source, ...]
    features: tuple[str, ...]
    chemistries: tuple[str, ...]
    nominal_capacity_ah: tuple[float, float]
    limits: tuple[tuple[str, float, float], ...]
    coverage: float
    half_width_fraction: float
    life: str
    scores: tuple[Score, ...]
    cells: tuple[CellScore, ...]

    def score(self, who: str, data: str = "all") -> Score:
        """The row of the table for a model or baseline on a data set.

        Raises:
            UsageError: the card has no such row.
        """
        for row in self.scores:
            if (row.who, row.data) == (who, data):
                return row
        raise UsageError(
            f"card {self.name} has no score of {who} on {data}",
            hint="Build the model again with `make models`.",
        )


def check(card: Card) -> None:
    """Let a model through only when it beats every baseline that it must beat.

    Raises:
        UsageError: a baseline is as good, or no baseline is on the card.
    """
    own = card.score("model")
    rivals = [row for row in card.scores if row.must_beat and row.data == "all"]
    if not rivals:
        raise UsageError(
            f"card {card.name} names no baseline to beat", hint="Score the baselines beside it."
        )
    for rival in rivals:
        # A score that is not a number beats nothing.
        if not (own.mae_fraction < rival.mae_fraction and own.rmse_fraction < rival.rmse_fraction):
            raise UsageError(
                f"model {card.name} does not beat '{rival.who}':"
                f" {own.mae_fraction:.4f} against {rival.mae_fraction:.4f}",
                hint="Do not serve it; fit a better one or none.",
            )
