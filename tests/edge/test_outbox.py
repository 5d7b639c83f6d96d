"""What a device keeps to be able to show: acknowledgements, thinned out with their age."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.edge.outbox import ChainState, LastAck, Outbox

KEY = bytes(range(32))


def ack(sequence: int) -> LastAck:
    return LastAck(sequence, 2 * sequence, b"manifest %d" % sequence, f"head {sequence}")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=400))
@settings(max_examples=20, deadline=None)
def test_few_acknowledgements_are_kept_but_one_of_every_age(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int]
) -> None:
    # Whoever rewrites history is caught by any acknowledgement that is younger than what was
    # rewritten and older than the rewriting: there must be one, however late somebody looks.
    outbox = Outbox(tmp_path_factory.mktemp("acks") / "outbox.sqlite", KEY)
    told, sequence = [], 0
    try:
        for step in steps:
            sequence += step
            outbox.acknowledge(ack(sequence))
            told.append(sequence)
            kept = [one.sequence for one in outbox.acknowledgements()]
            assert kept == sorted(kept)
            assert set(kept) <= set(told)
            assert kept[-1] == sequence
            assert kept[0] == told[0]
            assert len(kept) <= 2 * sequence.bit_length() + 2
            for earlier in told:
                age = sequence - earlier
                assert any(age / 4 - 1 <= sequence - one <= age for one in kept), (age, kept)
        assert outbox.acknowledgements() == [ack(one) for one in kept]
    finally:
        outbox.close()


def test_acknowledgements_survive_a_restart_and_end_with_an_admitted_loss(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", KEY)
    for sequence in (1, 2, 3):
        outbox.acknowledge(ack(sequence))
    outbox.close()
    outbox = Outbox(tmp_path / "outbox.sqlite", KEY)
    assert [one.sequence for one in outbox.acknowledgements()] == [1, 2, 3]
    # A hub that was set back says so, and the next batch tells everybody: until then they count.
    outbox.note_loss(3, 3)
    assert outbox.acknowledgements() == [ack(1), ack(2)]
    outbox.close()


def test_an_acknowledgement_of_what_is_acknowledged_already_changes_nothing_older(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", KEY)
    for sequence in (1, 5, 5, 5):
        outbox.acknowledge(ack(sequence))
    assert [one.sequence for one in outbox.acknowledgements()] == [1, 5]
    outbox.close()


def test_what_is_kept_beside_the_chain_survives_a_restart_and_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox(path, KEY)
    assert outbox.kept("orders") is None
    for told in (b"first and secret", b"second and secret"):
        outbox.keep("orders", told)
    outbox.keep("chain", b"not the chain's own")
    outbox.close()
    outbox = Outbox(path, KEY)
    assert outbox.kept("orders") == b"second and secret"
    assert outbox.state == ChainState()
    outbox.close()
    assert b"and secret" not in path.read_bytes()


def test_what_waits_is_measured_and_what_was_acknowledged_is_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", KEY)
    sizes = []
    for number in range(1, 5):
        outbox.append(bytes(1000), ChainState(1, number, bytes(32)))
        sizes.append(outbox.waiting_bytes())
    assert sizes == sorted(sizes)
    assert 4000 < sizes[-1] < 4400
    outbox.acknowledge(ack(3))
    assert outbox.waiting_bytes() == sizes[0]
    outbox.close()


def test_several_that_open_a_new_outbox_at_once_find_one(tmp_path: Path) -> None:
    for round_number in range(12):
        path = tmp_path / f"{round_number}.sqlite"
        together = threading.Barrier(6)

        def take_up(path: Path = path, together: threading.Barrier = together) -> ChainState:
            together.wait()
            return Outbox(path, KEY).state

        with ThreadPoolExecutor(6) as pool:
            states = [future.result() for future in [pool.submit(take_up) for _ in range(6)]]
        assert states == [ChainState()] * 6
