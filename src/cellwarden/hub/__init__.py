"""The shell on the server."""
