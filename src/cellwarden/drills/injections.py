"""An injection for each row of the fault table."""

from cellwarden.drills.injection import Injection
from cellwarden.drills.presences import presences
from cellwarden.drills.scene import Scene
from cellwarden.drills.sizes import sizes

__all__ = ["injections"]


def injections(scene: Scene) -> list[Injection]:
    """All that make sense in a scene; every row has one in some condition."""
    made = [
        injection
        for row in scene.diagnostics.rows
        for injection in (*sizes(row, scene), *presences(row, scene))
    ]
    return [injection for injection in made if injection.fits(scene)]
