from dataclasses import asdict, replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import Moved, PackStatus, ShownTrouble
from cellwarden.errors import DecodeError
from cellwarden.wire import Notes
from cellwarden.wire.status import hear_status, tell_status

TROUBLE = ShownTrouble("cell_voltage_high", "open", 1e9, 4.3, 4.25, 7, latched=True)
MOVE = Moved(1e9, "connected", "opening", "cell_voltage_high")
STATUS = PackStatus(
    1e9,
    "error",
    plus_closed=False,
    minus_closed=False,
    precharge_closed=False,
    charge_ampere=0.0,
    discharge_ampere=0.0,
    charge_by=("open contactors",),
    troubles=(TROUBLE,),
    moves=(MOVE,),
)


def test_a_status_comes_back_as_it_was_told_in_the_notes_of_a_batch() -> None:
    assert hear_status(tell_status(STATUS)) == STATUS
    notes = Notes(status=STATUS)
    assert Notes.decode(notes.encode()) == notes


def test_what_is_no_number_is_none_and_what_is_long_is_cut() -> None:
    wild = replace(
        STATUS, charge_ampere=inf, balanced_in_second=nan, waits_for="x" * 999, moves=(MOVE,) * 999
    )
    heard = hear_status(tell_status(wild))
    assert heard.charge_ampere is None
    assert heard.balanced_in_second is None
    assert len(heard.waits_for) == 400
    assert len(heard.moves) == 256
    assert Notes.decode(Notes(status=heard).encode()).status == heard


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 3},
        {"unknown": 1},
        {"plus_closed": 1},
        {"charge_ampere": "many"},
        {"charge_ampere": nan},
        {"troubles": [{"name": "x"}]},
        {"waits_for": "x" * 401},
        {"charge_by": ["x"] * 257},
    ],
    ids=str,
)
def test_another_map_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        hear_status({**tell_status(STATUS), **change})


def test_a_field_that_is_missing_is_refused() -> None:
    for name in asdict(STATUS):
        told = tell_status(STATUS)
        del told[name]
        with pytest.raises(DecodeError):
            hear_status(told)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_anything_else_is_refused(told: object) -> None:
    with pytest.raises(DecodeError):
        hear_status(told)
