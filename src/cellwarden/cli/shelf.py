"""`models list`, `show` and `build`: what comes with the package, and how it is made again."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table
from threadpoolctl import threadpool_limits

from cellwarden.cli.models import NAME, build, list_digest
from cellwarden.errors import UsageError
from cellwarden.registry import Label, encode_portable, load_card
from cellwarden.registry.artefact import digest
from cellwarden.registry.circuit_file import encode_circuit
from cellwarden.registry.circuits import CIRCUITS, follow_circuit
from cellwarden.registry.page import page
from cellwarden.registry.portable_page import portable_page, summary
from cellwarden.registry.recipes import RECIPES, follow
from cellwarden.registry.shelf import read_circuit, read_portable, shipped_names

__all__ = ["build_models", "card_page", "list_models", "show_model"]


def list_models() -> None:
    """Print the shipped models, a line each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "tells", "cells", "error, nested", "error, test cells"):
        table.add_column(name, overflow="fold")
    card = load_card()
    own = f"{100 * card.score('model').rmse_fraction:.2f} %"
    count = str(sum(len(source.cells) for source in card.sources))
    table.add_row(NAME, "state of health from the upper half of a charge", count, own, "")
    for name in shipped_names():
        if name != NAME:
            label = _card(name)[0]
            cells = str(sum(len(source.cells) for source in label.sources))
            table.add_row(name, escape(dict(label.facts)["what"]), cells, *summary(label))
    console = Console()
    console.print(table)
    console.print(
        "Errors are RMSE unless said; `cellwarden models show NAME` prints the whole card."
    )


def show_model(name: str) -> None:
    """Print the card of a shipped model.

    Raises:
        UsageError: there is none of this name.
    """
    Console().print(Markdown(card_page(name)))


def card_page(name: str) -> str:
    """The page of a shipped model. [Markdown]

    Raises:
        UsageError: there is none of this name.
    """
    if name == NAME:
        return page(load_card())
    label, found, size, columns = _card(name)
    return portable_page(label, found, size, columns)


def _card(name: str) -> tuple[Label, str, int, tuple[str, ...]]:
    """Card, digest, bytes and columns of a shipped model."""
    if name in {one.name for one in CIRCUITS}:
        circuit, label, found = read_circuit(name)
        columns = ("time", "current", "voltage", "temperature")
        return label, found, len(encode_circuit(circuit, label)), columns
    model, label, found = read_portable(name)
    return label, found, len(encode_portable(model, label)), model.columns


def build_models(data: Path, out: Path, names: Sequence[str], pages: Path | None) -> None:
    """Fit the named models again, or all; write them, their digests and their pages.

    Raises:
        UsageError: there is none of a name, data is not there, or a named model is refused.
    """
    known = {NAME, *(one.name for one in RECIPES), *(one.name for one in CIRCUITS)}
    if strange := [name for name in names if name not in known]:
        raise UsageError(
            f"there is no model {strange[0]}", hint=f"There are {', '.join(sorted(known))}."
        )
    console = Console()
    wanted = set(names) or known
    if NAME in wanted:
        build(data, out, None if pages is None else pages / f"{NAME}.md")
    for recipe in RECIPES:
        if recipe.name in wanted:
            try:
                with threadpool_limits(1):
                    made = follow(recipe, data, lambda words: console.print(words, style="dim"))
            except UsageError as refusal:
                if names:
                    raise
                # Of all, one that its gate refuses is told and the others are made.
                console.print(f"not made: {escape(str(refusal))}", style="yellow")
                continue
            content = encode_portable(made.model, made.label)
            _write(out, pages, content, made.label, made.model.columns, console)
    for one in CIRCUITS:
        if one.name in wanted:
            console.print(f"{one.name}: folds, then all drives", style="dim")
            with threadpool_limits(1):
                circuit, label = follow_circuit(one, data)
            columns = ("time", "current", "voltage", "temperature")
            _write(out, pages, encode_circuit(circuit, label), label, columns, console)


def _write(  # noqa: PLR0917  a file and all that is said of it
    out: Path,
    pages: Path | None,
    content: bytes,
    label: Label,
    columns: tuple[str, ...],
    console: Console,
) -> None:
    found = digest(content)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{label.name}.cbor").write_bytes(content)
    list_digest(out, f"{label.name}.cbor", found)
    text = portable_page(label, found, len(content), columns)
    if pages is not None:
        (pages / f"{label.name}.md").write_text(text, encoding="utf-8")
    nested, tested = summary(label)
    console.print(
        f"{label.name}: {len(content):,} bytes, {label.algorithm}; error {nested} nested"
        + (f", {tested} on test cells" if tested else ""),
        soft_wrap=True,
    )
