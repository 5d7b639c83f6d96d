"""Models: card, artefact, loading."""
