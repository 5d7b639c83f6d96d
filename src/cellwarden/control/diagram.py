"""The diagram and the tables of the manual, drawn from the state machine's one table.

`cellwarden pack --diagram` prints them; a test compares them with `docs/pack.md`.
"""

from collections.abc import Iterator
from typing import Final

from cellwarden.control.machine_state import MachineConfig
from cellwarden.control.mode import TABLE, Event, Mode, Target

__all__ = ["diagram", "settings_table", "transition_table"]

# Where a setting is, and what it means.
_SETTINGS: Final = (
    ("request_second", "s", "a request is good for"),
    ("init_second", "s", "the first complete reading comes within"),
    ("self_test_second", "s", "the self-test passes within"),
    ("feedback_second", "s", "a switch follows its coil within"),
    ("precharge.gap_volt", "V", "the link has come up: at most below the pack"),
    ("precharge.gap_fraction", "1", "and at most this part of the pack's voltage"),
    (
        "precharge.settled_ampere",
        "A",
        "and at most this current (0.3 % of the hourly rate if more)",
    ),
    ("precharge.settled_count", "1", "in so many cycles in a row"),
    ("precharge.fill_second", "s", "a stage of closing takes at most (12 time constants if more)"),
    ("precharge.try_count", "1", "tries in a row before the fault latches"),
    ("precharge.fail_wait_second", "s", "after a failed try, at least"),
    ("precharge.again_second", "s", "from one closing to the next, at least"),
    ("opening.ramp_second", "s", "allowed currents fall to zero on the way to standby in"),
    ("opening.break_ampere", "A", "contactors open below (nine tenths of the board's value)"),
    ("opening.ease_second", "s", "but wait for that at most"),
    ("opening.part_second", "s", "minus opens after plus at the latest after"),
    ("opening.fall_fraction", "1", "the open link falls by this part of the pack's voltage"),
    ("opening.fall_second", "s", "within, else a contact is welded"),
)


def diagram() -> str:
    """The machine as a Mermaid state diagram; arrows that lead the same way are one."""
    lines = ["stateDiagram-v2", "    [*] --> init"]
    for source in Mode:
        for target, events in _ways(source):
            lines.append(f"    {source} --> {target.mode}: {_label(target, events)}")
    return "\n".join(lines) + "\n"


def transition_table() -> str:
    """The whole table as Markdown, a row an event; a dot is where the mode stays."""
    head = "| event | " + " | ".join(mode.value for mode in Mode) + " |\n"
    rule = "| --- " * (len(Mode) + 1) + "|\n"
    rows = (
        f"| `{event}` | " + " | ".join(_cell(mode, TABLE[mode, event]) for mode in Mode) + " |\n"
        for event in Event
    )
    return head + rule + "".join(rows)


def settings_table() -> str:
    """Times and criteria as they are unless a board asks for others, as Markdown."""
    head = "| setting | value | meaning |\n| --- | --- | --- |\n"
    return head + "".join(
        f"| `{name}` | {_setting(name):g}{'' if unit == '1' else f' {unit}'} | {meaning} |\n"
        for name, unit, meaning in _SETTINGS
    )


def _setting(path: str) -> float:
    value: object = MachineConfig()
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, float | int)  # noqa: S101  the table above names numbers
    return float(value)


def _ways(source: Mode) -> Iterator[tuple[Target, list[Event]]]:
    """Each place to go from a mode, with the events that lead there."""
    found: dict[Target, list[Event]] = {}
    for event in Event:
        for target in _resolved(TABLE[source, event]):
            if target.mode is not source:
                found.setdefault(target, []).append(event)
    yield from found.items()


def _resolved(target: Target) -> tuple[Target, ...]:
    """Where an event leads, by name; opening is bound for one of two."""
    return (target,) if target.mode else (Target(Mode.STANDBY), Target(Mode.ERROR))


def _label(target: Target, events: list[Event]) -> str:
    bound = f" (bound for {target.bound_for})" if target.bound_for else ""
    return ", ".join(event.value for event in events) + bound


def _cell(mode: Mode, target: Target) -> str:
    if target.mode is None:
        return "→ where it is bound for"
    if target.mode is mode and target.bound_for is None:
        return "·"
    bound = f" > {target.bound_for}" if target.bound_for else ""
    return f"→ {target.mode}{bound}"
