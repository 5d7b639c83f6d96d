"""The command line: parse, call, print, exit code."""

from cellwarden.cli.app import main

__all__ = ["main"]
