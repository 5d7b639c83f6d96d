"""Messages between edge and hub; no I/O."""
