"""What the device itself makes of its frames: state of charge, and findings."""

import numpy as np

from cellwarden import guard
from cellwarden.domain import Finding, Frames, Pack
from cellwarden.errors import DecodeError
from cellwarden.health import charge
from cellwarden.trust.envelope import from_cbor, to_cbor

__all__ = ["PackWatch"]


class PackWatch:
    """Guard and charge estimate of one pack; the estimate goes on after a restart."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._watch = guard.Watch()
        self._residual = guard.Residual()

    def __call__(self, frames: Frames, state: bytes) -> tuple[Frames, tuple[Finding, ...], bytes]:
        """Frames with their charge, what was found in them, and the estimator's state."""
        self._watch, findings = guard.inspect(frames, self._pack, self._watch)
        belief = _hear(state) if state else charge.init(self._pack)
        belief, charges = charge.run(belief, frames, self._pack)
        self._residual, surprises = guard.inspect_charge(charges, self._residual)
        return charge.annotate(frames, charges), (*findings, *surprises), _tell(belief)


def _tell(belief: charge.ChargeState) -> bytes:
    cells = np.ascontiguousarray(belief.cells, dtype="<f8")
    return to_cbor([list(cells.shape), cells.tobytes(), belief.clock.astype("<f8").tobytes()])


def _hear(state: bytes) -> charge.ChargeState:
    match from_cbor(state, "the estimator's state"):
        case [[int(height), int(width)], bytes(cells), bytes(clock)]:
            grid = np.frombuffer(cells, dtype="<f8").reshape(height, width).copy()
            return charge.ChargeState(grid, np.frombuffer(clock, dtype="<f8").copy())
        case _:
            raise DecodeError("not an estimator's state", hint="Delete the outbox's folder.")
