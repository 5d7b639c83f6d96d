"""Messages between edge and hub; no I/O."""

from cellwarden.wire.ack import Ack, Refusal, decode_reply, encode_reply
from cellwarden.wire.batch import (
    BATCH_TYPE,
    FIRST_PREVIOUS,
    Content,
    Manifest,
    Message,
    check_summary,
    columns_digest,
    decode_columns,
    encode_columns,
    link,
    make_manifest,
    notes_digest,
    open_content,
    open_manifest,
    seal_content,
)
from cellwarden.wire.notes import Notes

__all__ = [
    "BATCH_TYPE",
    "FIRST_PREVIOUS",
    "Ack",
    "Content",
    "Manifest",
    "Message",
    "Notes",
    "Refusal",
    "check_summary",
    "columns_digest",
    "decode_columns",
    "decode_reply",
    "encode_columns",
    "encode_reply",
    "link",
    "make_manifest",
    "notes_digest",
    "open_content",
    "open_manifest",
    "seal_content",
]
