"""What the pack does next."""
