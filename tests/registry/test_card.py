from dataclasses import replace

import pytest

from cellwarden.errors import UsageError
from cellwarden.registry import Card, check, load_card


@pytest.fixture
def card() -> Card:
    return load_card()


def test_the_shipped_model_beats_mean_cycle_count_and_carried_check(card: Card) -> None:
    check(card)
    must = {row.who for row in card.scores if row.must_beat}
    assert must == {"mean", "cycle count only", "first check carried forward"}
    own = card.score("model")
    for who in must:
        assert own.mae_fraction < card.score(who).mae_fraction
        assert own.rmse_fraction < card.score(who).rmse_fraction


@pytest.mark.parametrize("field", ["mae_fraction", "rmse_fraction"])
@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_model_that_does_not_beat_a_baseline_is_not_let_through(
    card: Card, field: str, value: float
) -> None:
    worse = replace(card.score("model"), **{field: value})
    scores = (worse, *(row for row in card.scores if row != card.score("model")))
    with pytest.raises(UsageError, match="does not beat"):
        check(replace(card, scores=scores))


def test_a_card_without_baselines_is_not_let_through(card: Card) -> None:
    with pytest.raises(UsageError, match="no baseline"):
        check(replace(card, scores=(card.score("model"),)))


def test_a_card_without_the_models_own_score_is_not_let_through(card: Card) -> None:
    with pytest.raises(UsageError, match="no score of model"):
        check(replace(card, scores=tuple(r for r in card.scores if r.who != "model")))


def test_the_card_names_data_licence_and_a_digest_of_each_training_cell(card: Card) -> None:
    cells = [name for source in card.sources for name, mark in source.cells if len(mark) == 64]
    assert sorted(cells) == sorted(row.cell for row in card.cells)
    assert all(source.licence and source.citation for source in card.sources)
