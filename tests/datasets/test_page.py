"""The tables of the documentation are those of the catalogue."""

from pathlib import Path

from cellwarden import datasets

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"


def between(mark: str) -> list[str]:
    text = PAGE.read_text("utf-8")
    return text.partition(f"<!-- {mark} -->\n")[2].partition(f"<!-- /{mark} -->")[0].splitlines()


def test_the_table_of_sets_is_that_of_the_catalogue() -> None:
    rows = [
        "| set | what | cells | MB | licence | held back | get |",
        "|---|---|--:|--:|---|---|--:|",
    ]
    for one in datasets.catalogue().values():
        size = sum(part.byte_count for part in one.parts) / 1e6
        count = sum(bool(part.address) for part in one.parts)
        rows.append(
            f"| `{one.name}` | {one.title} | {one.cell_count or ''} | {size:.1f} | {one.licence}"
            f" | {one.held_back} | {count or ''} |"
        )
    assert between("sets") == rows


def test_the_table_of_protocols_is_that_of_the_catalogue() -> None:
    rows = ["| set | protocol | members | by cell | splits | source |", "|---|---|---|---|---|---|"]
    for one in datasets.catalogue().values():
        for protocol in one.protocols:
            splits = ", ".join(
                f"{split.name} {split.count or '?'}{' (held back)' if split.held_back else ''}"
                for split in protocol.splits
            )
            rows.append(
                f"| `{one.name}` | {protocol.name} | {protocol.by}"
                f" | {'yes' if protocol.by_cell else 'no'} | {splits} | {protocol.source} |"
            )
    assert between("protocols") == rows
