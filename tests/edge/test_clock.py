"""A clock that does not go back, however its parts do."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.clock import TrustedClock

T = 1_800_000_000.0


@dataclass
class Hands:
    """The two clocks of a machine."""

    wall: float = T
    steady: float = 50.0

    def trusted(self, witnessed: float = 0.0) -> TrustedClock:
        return TrustedClock(witnessed, lambda: self.wall, lambda: self.steady)

    def pass_(self, second: float) -> None:
        self.wall += second
        self.steady += second


def test_time_goes_on_when_the_wall_clock_is_set_back() -> None:
    hands = Hands()
    clock = hands.trusted()
    assert clock.now() == T
    hands.pass_(10.0)
    hands.wall -= 3600.0
    hands.pass_(10.0)
    assert clock.now() == T + 20.0
    assert clock.set_back_second() == 3600.0


def test_a_wall_clock_that_is_ahead_is_followed_and_not_left_again() -> None:
    hands = Hands()
    clock = hands.trusted()
    hands.wall += 3600.0
    assert clock.now() == T + 3600.0
    hands.wall -= 3600.0
    hands.pass_(1.0)
    assert clock.now() == T + 3601.0


def test_only_what_was_witnessed_counts_after_a_restart() -> None:
    hands = Hands()
    clock = hands.trusted()
    clock.witness(T + 5.0)
    hands.wall += 1e9  # somebody set it far ahead, for a moment
    clock.now()
    hands.pass_(10.0)
    assert clock.witnessed() == T + 15.0
    dead = Hands(wall=0.0, steady=0.0)
    again = dead.trusted(clock.witnessed())
    dead.pass_(1.0)
    assert again.now() == T + 16.0
    assert again.set_back_second() == T + 15.0


def test_a_small_difference_is_nothing_to_speak_of() -> None:
    hands = Hands()
    clock = hands.trusted()
    clock.witness(T + 30.0)
    assert clock.set_back_second() == 0.0
    assert clock.now() == T + 30.0


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.0, 1e4), st.floats(0.0, 2 * T))))
def test_it_never_goes_back_and_never_stands_still(
    moves: list[tuple[float, float, float]],
) -> None:
    hands = Hands()
    clock = hands.trusted()
    before = clock.now()
    for jump, second, said in moves:
        hands.wall += jump
        hands.pass_(second)
        clock.witness(said)
        now = clock.now()
        assert now >= before + second - 1e-3
        assert now >= max(hands.wall, said)
        assert clock.witnessed() <= now
        before = now
