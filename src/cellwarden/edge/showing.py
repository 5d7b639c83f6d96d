"""What the outputs of a controlled pack are shown, from the cycles of its control.

Rules
- The loop offers a view and goes on: buses and brokers have a thread of their own, and the newest
  view counts.
- A view is offered once in the period, and at once where the mode has changed.
- Outputs that do not open are tried again with each view. Nothing of that touches the control.
"""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from cellwarden.control.decision import Decision
from cellwarden.control.fault_table import FaultRow
from cellwarden.domain import Charge, Pack, Reading
from cellwarden.edge.outputs.config import Outputs
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import Error
from cellwarden.health import charge as charges

__all__ = ["Reopened", "Showing"]


class Showing:
    """Makes a view of a cycle and offers it."""

    def __init__(
        self,
        pack: Pack,
        rows: tuple[FaultRow, ...],
        offer: Callable[[PackView], None],
        period_second: float = 1.0,
    ) -> None:
        """`offer` must not wait."""
        self._pack, self._offer, self._period_second = pack, offer, period_second
        told = {row.name: row.sunspec_event for row in rows if row.sunspec_event is not None}
        self._event_names = MappingProxyType(told)
        self._due_second = float("-inf")

    def note(self, decision: Decision, reading: Reading, soc: Charge | None) -> None:
        """Take in a cycle."""
        now = decision.clock_second
        if now < self._due_second and not decision.moves:
            return
        self._due_second = now + self._period_second
        known = soc is not None and len(soc.soc_fraction) > 0
        self._offer(
            PackView(
                self._pack,
                reading.frame,
                str(decision.mode),
                decision.diagnosis,
                decision.allowance,
                decision.command,
                float(charges.usable_fraction(soc.soc_fraction)) if soc and known else np.nan,
                float(soc.soc_std_fraction.max()) if soc and known else np.nan,
                event_names=self._event_names,
            )
        )


class Reopened:
    """Outputs that are opened when there is something to show, and again until they open."""

    def __init__(self, make: Callable[[], Outputs], report: Callable[[Error], None]) -> None:
        self._make, self._report = make, report
        self._outputs: Outputs | None = None
        self._told = ""

    def show(self, view: PackView) -> None:
        """Tell of this moment, if there is a way.

        Raises:
            Error: they do not open now.
        """
        if self._outputs is None:
            try:
                self._outputs = self._make()
            except Error as error:
                self._tell(error)
                raise
        self._outputs.show(view)
        if self._outputs.trouble:
            self._tell(Error(f"an output: {self._outputs.trouble}", hint="See outputs.toml."))
        else:
            self._told = ""

    def close(self) -> None:
        """Stop telling."""
        if self._outputs is not None:
            self._outputs.close()

    def _tell(self, error: Error) -> None:
        """Say a trouble once, not with each view."""
        if str(error) != self._told:
            self._told = str(error)
            self._report(error)
