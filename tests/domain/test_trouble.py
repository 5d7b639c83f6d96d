from cellwarden.domain import Diagnosis, Reaction, Trouble


def trouble(name: str, reaction: Reaction, opens: float = float("inf")) -> Trouble:
    return Trouble(name, reaction, 1.0, 4.3, 4.25, opens_second=opens)


def test_the_strongest_reaction_leads() -> None:
    mild, strong = trouble("spread", Reaction.WARN), trouble("high", Reaction.OPEN, 5.0)
    assert Diagnosis((mild, strong)).reaction is Reaction.OPEN
    assert Diagnosis().reaction is Reaction.RECORD


def test_contactors_open_when_the_delay_has_run_out_and_not_before() -> None:
    held = Diagnosis((trouble("high", Reaction.OPEN, 5.0), trouble("spread", Reaction.WARN)))
    assert not held.must_open(4.9)
    assert held.must_open(5.0)
