import numpy as np
import pytest

from cellwarden.domain import Capability
from cellwarden.errors import UsageError


def test_a_capability_has_a_row_for_each_horizon() -> None:
    rows = np.ones((2, 3))
    assert Capability(0.0, (2.0, 10.0), rows, rows).horizon_second == (2.0, 10.0)
    with pytest.raises(UsageError):
        Capability(0.0, (2.0,), rows, rows)
