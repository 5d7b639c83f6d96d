from cellwarden.control.signals import SIGNALS, Signal


def test_signals_are_numbered_in_order_without_gaps() -> None:
    assert list(Signal) == list(range(len(Signal)))


def test_each_has_a_unit_and_a_meaning_that_fits_a_table() -> None:
    for about in SIGNALS.values():
        assert about.unit
        assert 4 < len(about.meaning) < 90
        assert about.item in {"", "cell", "sensor", "chip"}
