from cellwarden.domain import CLOSED, OPEN, Command, Contactors


def test_current_flows_only_with_both_contactors_closed() -> None:
    precharging = Contactors(plus_closed=False, minus_closed=True, precharge_closed=True)
    assert not Command(precharging, 1.0, 1.0).contactors_closed
    assert precharging.any_closed
    assert Command(CLOSED, 1.0, 1.0).contactors_closed
    assert not OPEN.any_closed
