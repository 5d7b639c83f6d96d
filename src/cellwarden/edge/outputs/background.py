"""Outputs in a thread of their own: who offers a view never waits, the newest one counts."""

import threading

from cellwarden.edge.outputs.config import Output
from cellwarden.edge.outputs.view import PackView

__all__ = ["Background"]

_TICK_SECOND = 1.0
_PATIENCE_SECOND = 10.0


class Background:
    """Shows what was offered last, for a control cycle that must not feel a bus or a broker."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._newest: PackView | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self.skipped_count = 0
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, view: PackView) -> None:
        """Offer a view; one that was not shown yet gives way to it."""
        with self._lock:
            self.skipped_count += self._newest is not None
            self._newest = view
        self._wake.set()

    def close(self) -> None:
        """Show what is left, then stop."""
        self._closing = True
        self._wake.set()
        self._thread.join(_PATIENCE_SECOND)
        self._output.close()

    def _run(self) -> None:
        while True:
            self._wake.wait(_TICK_SECOND)
            self._wake.clear()
            with self._lock:
                view, self._newest = self._newest, None
            if view is not None:
                self._show(view)
            elif self._closing:
                return

    def _show(self, view: PackView) -> None:
        try:
            self._output.show(view)
            self.trouble = ""
        except Exception as error:  # noqa: BLE001  told in `trouble`; the next view is tried
            self.trouble = str(error) or repr(error)
