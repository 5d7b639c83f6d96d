import io
import json

import pytest
from rich.console import Console

from cellwarden.cli.faults import faults_command, show_faults
from cellwarden.errors import UsageError

ONLY = ("interlock_open", "cell_voltage_high_maximum")


def test_named_rows_are_injected_and_told_as_one_object(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert faults_command(ONLY, None, as_json=True, quick=True)
    told = json.loads(capsys.readouterr().out)
    figures = {figure["name"]: figure["value"] for figure in told["figures"]}
    assert figures["faults.detected_fraction"] == 1.0
    assert figures["faults.late_count"] == 0
    assert figures["faults.row_count"] == 2
    assert {row["row"] for row in told["rows"]} == set(ONLY)
    assert "faults.false_alarms_per_month" not in figures
    out = io.StringIO()
    show_faults(told, Console(file=out, width=120))
    assert "interlock_open" in out.getvalue()
    assert "limit + 0.0001 V" in out.getvalue()


def test_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        faults_command(("nonsense",), None, as_json=True, quick=True)
