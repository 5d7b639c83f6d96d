"""What a pack does next."""
