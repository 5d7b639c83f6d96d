"""Public data sets: what they are, how they are split, whether the files are the right ones.

from cellwarden import datasets

datasets.describe("severson_lfp").faults
datasets.splits("severson_lfp")["train"]
datasets.load("eis_lco", "eis")
datasets.rows("soh_features", "train", "XJTU 3C")
duties.duty_named("personal_ev_combined")  # from cellwarden.datasets import duties
"""

from cellwarden.datasets.catalogue import (
    catalogue,
    data_folder,
    describe,
    load,
    locate,
    rows,
    splits,
)
from cellwarden.datasets.description import Column, DataSet, Fault, Part, Protocol, Split

__all__ = [
    "Column",
    "DataSet",
    "Fault",
    "Part",
    "Protocol",
    "Split",
    "catalogue",
    "data_folder",
    "describe",
    "load",
    "locate",
    "rows",
    "splits",
]
