"""Room that gets full is used more and more sparingly, and what is left out is counted."""

from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.quota import LEVELS, Thinning


def kept(thinning: Thinning, count: int, *, urgent: bool = False) -> int:
    return sum(thinning.keeps(float(second), urgent=urgent) for second in range(count))


def test_the_fuller_the_room_the_further_apart_frames_are_kept() -> None:
    counts = []
    for share, _ in LEVELS:
        thinning = Thinning()
        thinning.fill(share)
        counts.append(kept(thinning, 6000))
        assert thinning.left_out_count == 6000 - counts[-1]
    assert counts == [6000, 600, 100, 10, 0]


def test_what_matters_is_kept_until_nothing_fits() -> None:
    for share, _ in LEVELS:
        thinning = Thinning()
        thinning.fill(share)
        assert kept(thinning, 100, urgent=True) == (0 if share >= 1.0 else 100)


def test_counts_say_since_when_and_begin_anew() -> None:
    thinning = Thinning()
    assert kept(thinning, 10) == 10
    thinning.fill(0.6)
    kept(thinning, 40)
    count, since = thinning.take()
    assert count + 4 == 40
    assert since == 1.0
    assert thinning.take()[0] == 0


def test_a_level_is_left_only_well_below_where_it_began() -> None:
    thinning = Thinning()
    thinning.fill(0.51)
    thinning.fill(0.49)
    assert thinning.spacing_second == 10.0
    thinning.fill(0.44)
    assert thinning.spacing_second == 0.0


@given(st.lists(st.floats(0.0, 1.5), min_size=1), st.floats(0.0, 1.5))
def test_fuller_never_means_closer(before: list[float], share: float) -> None:
    thinning = Thinning()
    for one in before:
        thinning.fill(one)
    thinning.fill(share)
    now = thinning.spacing_second
    thinning.fill(share + 0.1)
    assert thinning.spacing_second >= now
    fresh = Thinning()
    fresh.fill(share)
    assert now >= fresh.spacing_second, "it is never closer than the room allows"


def test_a_clock_that_is_set_back_does_not_stop_the_keeping() -> None:
    thinning = Thinning()
    thinning.fill(0.95)
    assert thinning.keeps(1e9, urgent=False)
    assert thinning.keeps(10.0, urgent=False)
