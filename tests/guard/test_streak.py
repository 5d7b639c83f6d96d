import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.guard.streak import extend


@given(st.lists(st.booleans(), min_size=2, max_size=40), st.data())
def test_a_streak_counts_as_one_would_by_hand_in_any_batches(
    holds: list[bool], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(holds) - 1))
    claim = np.array(holds)[:, None]
    mark = np.arange(len(holds), dtype=np.float64)
    expected, since, run, began = [], [], 0, np.nan
    for row, hold in enumerate(holds):
        run = run + 1 if hold else 0
        began = began if hold else float(row)
        expected.append(run)
        since.append(began)
    first, first_mark, state = extend(claim[:cut], mark[:cut], None)
    rest, rest_mark, _ = extend(claim[cut:], mark[cut:], state)
    assert np.concatenate((first, rest))[:, 0].tolist() == expected
    np.testing.assert_array_equal(np.concatenate((first_mark, rest_mark))[:, 0], since)
