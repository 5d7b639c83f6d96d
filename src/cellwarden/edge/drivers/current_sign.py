"""What a foreign device means by a positive current, where its protocol does not say."""

from typing import Literal

from cellwarden.errors import UsageError

__all__ = ["PositiveCurrent", "sign_of"]

PositiveCurrent = Literal["charge", "discharge"]


def sign_of(positive_current: str) -> float:
    """The factor that makes charging positive. [1]

    Raises:
        UsageError: it was not said.
    """
    if positive_current not in {"charge", "discharge"}:
        raise UsageError(
            "what positive current means there is not said",
            hint='Say positive_current = "charge" or "discharge": look while it charges.',
        )
    return 1.0 if positive_current == "charge" else -1.0
