import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellwarden.guard.window import middle


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 9)),
        elements=st.one_of(st.just(np.nan), st.floats(-10, 10, width=32)),
    )
)
def test_the_middle_is_the_median_of_what_is_there(rows: np.ndarray) -> None:
    for row, median in zip(rows, middle(rows), strict=True):
        known = row[np.isfinite(row)]
        assert np.isnan(median) if not len(known) else median == np.median(known)
