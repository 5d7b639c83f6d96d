from cellwarden.control import Event, Mode, Move
from cellwarden.control.decision import Decision
from cellwarden.domain import OPEN, Allowance, Command, Diagnosis, Reaction, Restraint, Trouble


def test_a_decision_says_in_words_what_moved_what_is_wrong_and_what_holds_it_back() -> None:
    decision = Decision(
        12.0,
        Mode.ERROR,
        Command(OPEN, 0.0, 0.0),
        Diagnosis((Trouble("insulation_lost", Reaction.OPEN, 10.0, 30.7, 100.0),)),
        Allowance(0.0, 4.0, 0.0, 200.0, discharge_by=(Restraint("cold", 4.0, -12.0),)),
        waits_for="the fault to go away",
        moves=(Move(12.0, Mode.OPENING, Event.DONE, Mode.ERROR, "link at 3.0 V of 60.0 V"),),
    )
    assert decision.reasons == (
        "opening -> error: link at 3.0 V of 60.0 V",
        "waits for the fault to go away",
        "insulation_lost: 30.7 against 100",
        "discharge held by cold",
    )
