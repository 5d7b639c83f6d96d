"""Models: card, artefact, loading."""

from cellwarden.registry.artefact import decode, digest, encode
from cellwarden.registry.card import Card, CellScore, Score, Source, check
from cellwarden.registry.portable_file import (
    PORTABLE_FORMAT,
    Label,
    decode_portable,
    encode_portable,
)
from cellwarden.registry.shelf import assess, load, load_card, read_model

__all__ = [
    "PORTABLE_FORMAT",
    "Card",
    "CellScore",
    "Label",
    "Score",
    "Source",
    "assess",
    "check",
    "decode",
    "decode_portable",
    "digest",
    "encode",
    "encode_portable",
    "load",
    "load_card",
    "read_model",
]
