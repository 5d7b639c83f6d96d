"""Series in, numbers out; pure."""
