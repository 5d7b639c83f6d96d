"""A message to a broker, and what a profile of such messages is."""

from dataclasses import dataclass
from typing import Protocol

from cellwarden.edge.outputs.view import PackView

__all__ = ["MqttProfile", "Publication"]


@dataclass(frozen=True, slots=True)
class Publication:
    """One message: where to, what, and how."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class MqttProfile(Protocol):
    """The rules of a profile, without a network: what is said when. Times are Unix seconds. [s]"""

    def open(self, now: float) -> Publication:
        """A connection is about to be made: the will that the broker keeps."""
        ...

    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Topics to hear, with their quality of service."""
        ...

    def begin(self, view: PackView | None, now: float) -> list[Publication]:
        """The connection stands."""
        ...

    def show(self, view: PackView, now: float, *, historical: bool = False) -> list[Publication]:
        """Tell of a view; `historical` is one that could not be told in time."""
        ...

    def hear(self, topic: str, payload: bytes, now: float) -> list[Publication]:
        """Somebody has published.

        Raises:
            DataError: it is not what belongs on that topic.
        """
        ...

    def end(self, now: float) -> list[Publication]:
        """A goodbye before a connection is closed on purpose."""
        ...
