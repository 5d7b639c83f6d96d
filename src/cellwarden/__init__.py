"""Battery fleets watched from the sensor to the decision, with proof."""

__all__ = ["__version__"]

__version__ = "0.1.0"
