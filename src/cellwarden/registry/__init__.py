"""Models: card, artefact, loading."""

from cellwarden.registry.artefact import decode, digest, encode
from cellwarden.registry.card import Card, CellScore, Score, Source, check
from cellwarden.registry.shelf import assess, load, load_card, read_model

__all__ = [
    "Card",
    "CellScore",
    "Score",
    "Source",
    "assess",
    "check",
    "decode",
    "digest",
    "encode",
    "load",
    "load_card",
    "read_model",
]
