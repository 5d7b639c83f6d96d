"""Options that many commands have, and how those start that speak TLS."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HomeOption", "with_aes256_only"]

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The installation's folder. [default: .cellwarden]"),
]


def with_aes256_only() -> None:
    """Start over with OpenSSL told to agree on AES-256 alone; it reads that at its start only."""
    from cellwarden.trust.tls import openssl_settings  # noqa: PLC0415  not for every command

    wanted = str(openssl_settings())
    if os.environ.get("OPENSSL_CONF") != wanted:
        os.environ["OPENSSL_CONF"] = wanted
        os.execv(sys.executable, [sys.executable, "-m", "cellwarden", *sys.argv[1:]])  # noqa: S606  ourselves
