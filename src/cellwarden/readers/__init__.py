"""Bytes or rows in, a `Series` out; content decides which reader."""
