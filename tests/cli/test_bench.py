"""The benchmarks' own parts, in a checkout: what they say must be true before it is timed."""

from pathlib import Path

import pytest

from cellwarden.cli.bench import load_script
from cellwarden.features import cycle_table, steps
from cellwarden.readers import read

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEERS = sorted(path.parent for path in BENCHMARKS.glob("peers/*/measure.py"))


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    write = load_script("arbin_csv").write_arbin_csv
    one, same, other = (
        write(tmp_path / f"{name}.csv", cycles=2, points=100, seed=seed).read_bytes()
        for name, seed in (("one", 7), ("same", 7), ("other", 8))
    )
    assert one == same
    assert one != other


def test_the_generated_file_reads_as_the_cell_it_was_made_from(tmp_path: Path) -> None:
    module = load_script("arbin_csv")
    series = read(module.write_arbin_csv(tmp_path / "arbin.csv", cycles=4))
    assert len(series) == 4000
    table = steps(series)
    assert (
        table["step_kind"].tolist()
        == [*("cc_charge", "cv_charge", "rest", "cc_discharge", "rest")] * 4
    )
    cycles = cycle_table(series)
    assert cycles["discharging_capacity_ah"].tolist() == pytest.approx(
        cycles["discharging_counter_ah"].tolist(), rel=1e-3
    )
    for cycle, ohm in enumerate(cycles["discharging_resistance_ohm"]):
        # Ten seconds after the switch the open-circuit voltage has moved as well.
        assert ohm == pytest.approx(module.truth(cycle, 4)[1], rel=0.15)


def test_one_measurement_tells_times_and_what_was_made(tmp_path: Path) -> None:
    path = load_script("arbin_csv").write_arbin_csv(tmp_path / "arbin.csv", cycles=2, points=200)
    readers = load_script("readers")
    told = readers.measure(str(path), 1)
    assert (told["row_count"], told["step_count"]) == (400, 10)
    row = readers._agreement("cellwarden", "counters", told, readers._truth(path))
    assert (row["cycles"], row["worst"] < 1e-3) == (2, True)


def test_a_record_in_pieces_has_all_its_cycles(tmp_path: Path) -> None:
    path = load_script("arbin_csv").write_arbin_csv(tmp_path / "arbin.csv", cycles=2, points=200)
    assert load_script("readers").measure_pieces(str(path), 4000)["cycle_count"] == 20


@pytest.mark.parametrize("peer", PEERS, ids=lambda path: path.name)
def test_every_peer_is_pinned_by_hash(peer: Path) -> None:
    lock = (peer / "requirements.lock").read_text(encoding="utf-8")
    wanted = (peer / "requirements.in").read_text(encoding="utf-8").lower().split()
    pinned = [line for line in lock.splitlines() if "==" in line]
    assert any("==" in word for word in wanted)
    for word in wanted:  # pinned there, or held below a version
        name = word if "==" in word else word.partition("<")[0] + "=="
        assert any(line.lower().startswith(name) for line in pinned), word
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock
