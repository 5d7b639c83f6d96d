"""Bounds that hold whatever is asked: sessions and tries."""

from hypothesis import given
from hypothesis import strategies as st

from cellwarden.hub.roles import Role
from cellwarden.hub.sessions import Sessions
from cellwarden.hub.throttle import Throttle
from hub.fleet import Clock


def test_one_person_cannot_crowd_out_the_others() -> None:
    sessions = Sessions(Clock(), most=20, most_per_user=3)
    tokens = [sessions.open("noisy", Role.VIEWER)[0] for _ in range(10)]
    alive = [token for token in tokens if sessions.find(token)]
    assert alive == tokens[-3:]
    quiet, _ = sessions.open("quiet", Role.VIEWER)
    for n in range(16):
        sessions.open(f"user-{n}", Role.VIEWER)
    assert len(sessions) == 20
    assert sessions.find(quiet)
    for n in range(40):
        sessions.open(f"more-{n}", Role.VIEWER)
    assert len(sessions) == 20


def test_what_made_room_knows_that_it_has_ended() -> None:
    sessions = Sessions(Clock(), most=2)
    _, first = sessions.open("a", Role.VIEWER)
    sessions.open("b", Role.VIEWER)
    assert sessions.alive(first)
    sessions.open("c", Role.VIEWER)
    assert not sessions.alive(first)


def test_the_hub_does_not_keep_what_would_let_a_reader_of_its_memory_in() -> None:
    sessions = Sessions(Clock())
    token, session = sessions.open("a", Role.VIEWER)
    assert token not in repr(vars(sessions))
    assert session.csrf not in repr(session)


@given(st.text())
def test_no_text_is_a_token_by_chance(text: str) -> None:
    sessions = Sessions(Clock())
    sessions.open("a", Role.VIEWER)
    assert sessions.find(text) is None


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(-5, 5)), max_size=200),
    st.integers(1, 5),
    st.floats(0.1, 10),
)
def test_no_more_tries_than_the_bucket_and_the_time_give(
    asked: list[tuple[str, float]], burst: int, refill: float
) -> None:
    throttle = Throttle(burst, refill, most_keys=100)
    now, forward, granted = 1000.0, 0.0, dict.fromkeys("abcdefgh", 0)
    for key, step in asked:
        now += step
        forward += max(0.0, step)
        wait = throttle.take(key, now)
        assert 0.0 <= wait <= refill
        granted[key] += wait == 0.0
    assert all(count <= burst + forward / refill + 1e-6 for count in granted.values())


def test_the_table_of_tries_is_bounded_and_forgets_the_longest_unused() -> None:
    throttle = Throttle(1, 100.0, most_keys=10)
    for n in range(1000):
        throttle.take(f"key-{n}", 0.0)
    assert len(throttle) == 10
    assert throttle.take("key-999", 0.0) > 0
    assert throttle.take("key-0", 0.0) == 0
