"""Importing this has annotations checked while tests run: types by beartype, shapes by jaxtyping.

`conftest.py` imports it before anything of the package. Only calls made in this process are
checked; a command that a test starts runs as it is shipped. The guard alone, so far: what numba
compiles cannot be checked, and other packages have annotations to mend first.
"""

from typing import Final

from jaxtyping import install_import_hook

CHECKED: Final = ["cellwarden.guard"]

install_import_hook(CHECKED, "beartype.beartype")
