"""What balancing keeps over a power cut: debts, and what was levelled that nobody may have noticed.

Without it a pack that is switched off while it levels would give twice for one excess.
"""

from typing import Final

import cbor2
import numpy as np

from cellwarden.control.balance import Balanced
from cellwarden.errors import DecodeError

__all__ = ["pack_state", "unpack_state"]

_VERSION: Final = 1
_HINT: Final = "Begin with nothing owed; the next measurement finds what there is."


def pack_state(state: Balanced) -> bytes:
    """The state as bytes; the clock, and what was told on it, stay behind."""
    columns = (state.debt_ah, state.std_ah, state.unseen_ah)
    return cbor2.dumps(
        [
            _VERSION,
            *(column.astype("<f8").tobytes() for column in columns),
            state.moved_ah,
            state.lost_wh,
        ]
    )


def unpack_state(data: bytes, cell_count: int) -> Balanced:
    """The state that was packed.

    Raises:
        DecodeError: these bytes are no such state, or one of a pack with other cells.
    """
    try:
        version, *columns, moved, lost = cbor2.loads(data)
        debt, std, unseen = (np.frombuffer(column, dtype="<f8").copy() for column in columns)
        state = Balanced(debt, std, unseen, moved_ah=float(moved), lost_wh=float(lost))
    except (cbor2.CBORDecodeError, TypeError, ValueError, OverflowError) as error:
        raise DecodeError("these bytes are no state of balancing", hint=_HINT) from error
    whole = np.concatenate([debt, std, unseen, [state.moved_ah, state.lost_wh]])
    shapes = {len(debt), len(std), len(unseen)}
    if version != _VERSION or shapes != {cell_count} or not np.isfinite(whole).all():
        raise DecodeError("these bytes are no state of this pack's balancing", hint=_HINT)
    return state
