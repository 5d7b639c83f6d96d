"""State of charge, state of health, life, each with its uncertainty."""
