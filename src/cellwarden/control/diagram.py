"""The diagram and the table of the manual, drawn from the state machine's one table.

`cellwarden pack --diagram` prints both; a test compares them with `docs/pack.md`.
"""

from collections.abc import Iterator

from cellwarden.control.mode import TABLE, Event, Mode, Target

__all__ = ["diagram", "transition_table"]


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
