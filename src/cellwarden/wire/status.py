"""How a pack's status travels in the notes of a batch: a map, field by field, nothing unknown."""

import math
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Final

import msgspec

from cellwarden.domain import PackStatus
from cellwarden.errors import DecodeError

__all__ = ["hear_status", "tell_status"]

_LONGEST_TEXT: Final = 400
_MOST_ITEMS: Final = 256


def tell_status(status: PackStatus) -> dict[str, Any]:
    """As a map; what is not finite is none, and no list is longer than the store wants it."""
    told: dict[str, Any] = _plain(asdict(status))
    return told


def hear_status(told: Any) -> PackStatus:
    """From a map.

    Raises:
        DecodeError: a field is missing, unknown, of another kind, too long, or no number.
    """
    wrong = DecodeError("not the status of a pack", hint="Update the sender's software.")
    if not isinstance(told, dict) or set(told) != {field.name for field in fields(PackStatus)}:
        raise wrong
    try:
        status = msgspec.convert(told, PackStatus, strict=True)
    except msgspec.ValidationError as error:
        raise wrong from error
    if not _sound(status):
        raise wrong
    return status


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[-_MOST_ITEMS:]]
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _sound(value: Any) -> bool:
    if is_dataclass(value):
        return all(_sound(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple):
        return len(value) <= _MOST_ITEMS and all(_sound(item) for item in value)
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return not isinstance(value, float) or math.isfinite(value)
