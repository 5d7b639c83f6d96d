"""Ways to a pack."""
