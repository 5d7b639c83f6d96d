"""State of charge, state of health, life, each with its uncertainty."""

from cellwarden.health.assess import assess
from cellwarden.health.model import Model
from cellwarden.health.verdict import Fade, Forecast, Used, Verdict

__all__ = ["Fade", "Forecast", "Model", "Used", "Verdict", "assess"]
