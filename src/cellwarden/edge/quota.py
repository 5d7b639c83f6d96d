"""How many frames are kept while the hub is away: fewer, the fuller the disk's share is.

Sealed batches are a chain: none can be taken out of it again, and the oldest are as true as the
newest. So nothing that was kept is dropped; what is new is kept further and further apart, and
each batch says so. Frames that matter (a fault, a change of state) are kept until nothing fits.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["LEVELS", "Thinning"]

# From this share of the room on, one frame in so many seconds; infinite keeps none at all.
LEVELS: Final[tuple[tuple[float, float], ...]] = (
    (0.0, 0.0),
    (0.5, 10.0),
    (0.75, 60.0),
    (0.9, 600.0),
    (1.0, float("inf")),
)


@dataclass(slots=True)
class Thinning:
    """Decides of each frame whether it is kept, and counts what is not."""

    spacing_second: float = 0.0
    left_out_count: int = 0
    since_second: float = float("nan")
    _kept_second: float = float("-inf")

    def fill(self, used_fraction: float) -> None:
        """So full is the room now; a level is left only well below where it began."""
        wanted = _spacing(used_fraction)
        if wanted < self.spacing_second:
            wanted = min(_spacing(used_fraction + 0.05), self.spacing_second)
        self.spacing_second = wanted

    def keeps(self, unix_time_second: float, *, urgent: bool) -> bool:
        """Whether to keep the frame of that time."""
        apart = unix_time_second - self._kept_second
        late = apart >= self.spacing_second or apart < 0.0  # a clock may be set back
        full = self.spacing_second == float("inf")
        if not full and (urgent or late):
            self._kept_second = unix_time_second
            return True
        if not self.left_out_count:
            self.since_second = unix_time_second
        self.left_out_count += 1
        return False

    def take(self) -> tuple[int, float]:
        """How many frames were left out since this was asked last, and since when."""
        told = self.left_out_count, self.since_second
        self.left_out_count = 0
        return told


def _spacing(used_fraction: float) -> float:
    return max(spacing for share, spacing in LEVELS if used_fraction >= share)
