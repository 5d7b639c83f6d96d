"""Values: frozen, with the unit in each name."""

from cellwarden.domain.allowance import Allowance, Restraint
from cellwarden.domain.authenticity import Authenticity, Permission
from cellwarden.domain.cell import Cell, CellLimits, LimitTiers, tiers
from cellwarden.domain.chemistry import CHEMISTRIES, Chemistry, chemistry_named
from cellwarden.domain.command import CLOSED, OPEN, Command, Contactors
from cellwarden.domain.estimate import Charge, Explanation, Health, Interval, Life, NotServed
from cellwarden.domain.finding import Finding, Severity
from cellwarden.domain.frame import FRAME_COLUMNS, LIST_COLUMNS, Frame, Frames, Series
from cellwarden.domain.pack import Pack, check_name
from cellwarden.domain.plan import Plan
from cellwarden.domain.reading import Board, Inputs, Monitors, Reading
from cellwarden.domain.regime import Regime, RegimeBounds
from cellwarden.domain.remark import Remark
from cellwarden.domain.request import Request
from cellwarden.domain.table import TABLE_KINDS, Table
from cellwarden.domain.trouble import Diagnosis, Reaction, Trouble
from cellwarden.domain.units import QUANTITIES, Quantity, quantity

__all__ = [
    "CHEMISTRIES",
    "CLOSED",
    "FRAME_COLUMNS",
    "LIST_COLUMNS",
    "OPEN",
    "QUANTITIES",
    "TABLE_KINDS",
    "Allowance",
    "Authenticity",
    "Board",
    "Cell",
    "CellLimits",
    "Charge",
    "Chemistry",
    "Command",
    "Contactors",
    "Diagnosis",
    "Explanation",
    "Finding",
    "Frame",
    "Frames",
    "Health",
    "Inputs",
    "Interval",
    "Life",
    "LimitTiers",
    "Monitors",
    "NotServed",
    "Pack",
    "Permission",
    "Plan",
    "Quantity",
    "Reaction",
    "Reading",
    "Regime",
    "RegimeBounds",
    "Remark",
    "Request",
    "Restraint",
    "Series",
    "Severity",
    "Table",
    "Trouble",
    "check_name",
    "chemistry_named",
    "quantity",
    "tiers",
]
