"""What a reader noticed in a record and left as it was."""

from dataclasses import dataclass

__all__ = ["Remark"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence for people, and the same for programs.

    `kind` is a short name that stays the same from version to version (`gap`, `backward_time`);
    `column` is the column it is about, empty where it is about the whole; `count` says how often;
    `first_row` counts rows from 1 and is None where no row can be named.
    """

    kind: str
    text: str
    column: str = ""
    count: int = 1
    first_row: int | None = None

    def __str__(self) -> str:
        return self.text
