"""Who said it, was it changed, was anything dropped."""
