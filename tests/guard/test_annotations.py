"""The guard's annotations are held to while its tests run."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from cellwarden.guard.streak import extend


def test_a_shape_that_is_not_the_one_declared_fails_a_test() -> None:
    with pytest.raises(TypeCheckError):
        extend(np.zeros((3, 2), dtype=bool), np.zeros(4), None)
