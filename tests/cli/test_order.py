"""What is said on the command line becomes one order, or says why not."""

from pathlib import Path
from typing import Any

import pytest

from cellwarden.cli.order import Wanted
from cellwarden.domain import Curb, Plan, Request
from cellwarden.errors import UsageError
from cellwarden.wire.order import Wish


@pytest.mark.parametrize(
    ("wanted", "body"),
    [
        (Wanted(charge_ampere=20.0), Curb(20.0)),
        (Wanted(low_soc=0.2, high_soc=0.8), Curb(low_soc_fraction=0.2, high_soc_fraction=0.8)),
        (Wanted(discharge_ampere=0.0), Curb(high_discharge_current_ampere=0.0)),
        (Wanted(request="standby"), Wish(Request.STANDBY)),
        (Wanted(withdraw="limits"), Curb()),
        (Wanted(withdraw="request"), Wish(None)),
    ],
)
def test_one_thing_becomes_one_body(wanted: Wanted, body: Any) -> None:
    assert wanted.body("pack-1") == body


def test_a_plan_is_read_from_its_file_and_an_empty_one_takes_it_back(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(
        '{"start_unix_time_second": [1, 2], "charge_watt": [5, 0], "discharge_watt": [0, 7.5]}'
    )
    plan = Wanted(plan=path).body("pack-1")
    assert isinstance(plan, Plan)
    assert plan.discharge_watt.tolist() == [0.0, 7.5]
    none = Wanted(withdraw="plan").body("pack-1")
    assert isinstance(none, Plan)
    assert len(none.charge_watt) == 0


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(charge_ampere=1.0, request="standby"),
        Wanted(charge_ampere=-1.0),
        Wanted(low_soc=0.9, high_soc=0.1),
        Wanted(request="dance"),
        Wanted(withdraw="everything"),
        Wanted(plan=Path("nowhere.json")),
    ],
)
def test_what_is_no_order_says_what_to_do(wanted: Wanted) -> None:
    with pytest.raises(UsageError) as refused:
        wanted.body("pack-1")
    assert refused.value.hint
