"""LabVIEW Measurement text (.lvm): a header that states the layout, then rows without labels.

Rules
- The header's own words go: its separator, its decimal mark, where it ends.
- Labels are what its description lists after a colon, if it lists as many as there are columns;
  else columns are numbered.

Source: NI, "Specification for the LabVIEW Measurement File (.lvm)".
"""

import re
from typing import Final

__all__ = ["END", "columns", "is_labview", "words"]

END: Final = "***End_of_Header***"
_TITLE: Final = "LabVIEW Measurement"
_SEPARATORS: Final = {"tab": "\t", "comma": ","}
_LISTED: Final = re.compile(r"\s*(?:,|;|\band\b)\s*")


def is_labview(lines: list[str]) -> bool:
    """Whether the first lines of a text are such a header."""
    return bool(lines) and lines[0].strip() == _TITLE and any(line.strip() == END for line in lines)


def words(lines: list[str]) -> dict[str, str]:
    """What the header states, by its names; `Separator` as the character it means."""
    found = {}
    for line in lines:
        if line.strip() == END:
            break
        name, _, value = line.strip().partition("\t" if "\t" in line else ",")
        found[name] = value.strip()
    found["Separator"] = _SEPARATORS.get(found.get("Separator", "").lower(), "\t")
    return found


def columns(description: str, width: int) -> list[str]:
    """The labels that a description lists, or numbers where it does not list `width` of them."""
    listed = [part for part in _LISTED.split(description.partition(":")[2].strip()) if part]
    return listed if len(listed) == width else [f"#{index + 1}" for index in range(width)]
