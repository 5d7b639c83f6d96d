"""Values: frozen, with the unit in each name."""

from cellwarden.domain.cell import Cell, CellLimits, LimitTiers, tiers
from cellwarden.domain.chemistry import CHEMISTRIES, Chemistry, chemistry_named
from cellwarden.domain.command import Command
from cellwarden.domain.estimate import Charge, Explanation, Health, Interval, Life, NotServed
from cellwarden.domain.finding import Finding, Severity
from cellwarden.domain.frame import FRAME_COLUMNS, LIST_COLUMNS, Frame, Frames, Series
from cellwarden.domain.pack import Pack, check_name
from cellwarden.domain.plan import Plan
from cellwarden.domain.remark import Remark
from cellwarden.domain.table import TABLE_KINDS, Table
from cellwarden.domain.units import QUANTITIES, Quantity, quantity

__all__ = [
    "CHEMISTRIES",
    "FRAME_COLUMNS",
    "LIST_COLUMNS",
    "QUANTITIES",
    "TABLE_KINDS",
    "Cell",
    "CellLimits",
    "Charge",
    "Chemistry",
    "Command",
    "Explanation",
    "Finding",
    "Frame",
    "Frames",
    "Health",
    "Interval",
    "Life",
    "LimitTiers",
    "NotServed",
    "Pack",
    "Plan",
    "Quantity",
    "Remark",
    "Series",
    "Severity",
    "Table",
    "check_name",
    "chemistry_named",
    "quantity",
    "tiers",
]
