"""`pack`: a pack of the twin that starts, drives, balances, charges and fails safely."""

from typing import Annotated

import typer

__all__ = ["pack"]


def pack(
    fault: Annotated[
        str | None, typer.Option(help="Something that breaks on the way, as interlock or weld.")
    ] = None,
    *,
    short: Annotated[
        bool, typer.Option("--short", help="With --fault: without the day before it.")
    ] = False,
    cells: Annotated[int, typer.Option(help="Cells in series.")] = 16,
    seed: Annotated[int, typer.Option(help="Of cells and noise.")] = 7,
    speed: Annotated[
        float, typer.Option(help="On a terminal: faster than the clock by so much; 0: no waiting.")
    ] = 20.0,
    diagram: Annotated[
        bool, typer.Option("--diagram", help="Print the state machine instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Watch a pack of the twin start, drive, balance, charge, fail safely, with reasons."""
    from cellwarden.cli.pack_tour import pack_command, print_diagram

    if diagram:
        print_diagram()
        return
    pack_command(fault, whole=not short, cells=cells, seed=seed, speed=speed, as_json=as_json)
