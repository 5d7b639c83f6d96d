"""Open-circuit potentials of electrodes against lithium, by stoichiometry.

A potential is a function of the share of sites that hold lithium, falling as they fill.

Source: C.-H. Chen, F. Brosa Planella, K. O'Regan, D. Gastol, W. D. Widanage, E. Kendrick,
J. Electrochem. Soc. 167, 080534 (2020), doi 10.1149/1945-7111/ab9050: fits to the electrodes of an
LG M50 cell at 25 °C. That cell moves between 0.03 and 0.9 of the graphite with SiOx and between
0.27 and 0.9 of the NMC 811; used beyond as an extrapolation.
"""

import numpy as np
from jaxtyping import Float

__all__ = ["graphite_siox", "nmc811"]

Filled = Float[np.ndarray, "*point"]


def graphite_siox(filled_fraction: Filled) -> Filled:
    """Potential of graphite with a little SiOx. [V]"""
    x = filled_fraction
    steps = 0.0909 * np.tanh(29.8538 * (x - 0.1234)) + 0.04478 * np.tanh(14.9159 * (x - 0.2769))
    steps = steps + 0.0205 * np.tanh(30.4444 * (x - 0.6103))
    return np.asarray(1.9793 * np.exp(-39.3631 * x) + 0.2482 - steps)


def nmc811(filled_fraction: Filled) -> Filled:
    """Potential of LiNi0.8Mn0.1Co0.1O2. [V]"""
    y = filled_fraction
    bends = 17.5842 * np.tanh(15.9308 * (y - 0.3120)) - 17.7326 * np.tanh(15.7890 * (y - 0.3117))
    return np.asarray(4.4875 - 0.8090 * y - 0.0428 * np.tanh(18.5138 * (y - 0.5542)) + bends)
