"""Who may do what: one table, and nothing that is not in it.

Rules
- A request that fits no row is not passed on; a route without a row keeps the program from
  starting.
- A row names the roles that may; `OPEN` rows answer everybody and therefore tell nothing.
- Devices have no rights here: what they may ask stands beside the ingest.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from cellwarden.errors import UsageError

__all__ = ["EVERY_ROLE", "OPEN", "RIGHTS", "Role", "Row", "check_declared", "row_for"]


class Role(StrEnum):
    """What a person is here for."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ANALYST = "analyst"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


EVERY_ROLE: Final = frozenset(Role)
OPEN: Final[frozenset[Role] | None] = None
_OPERATOR: Final = frozenset({Role.OPERATOR, Role.AUDITOR, Role.ADMINISTRATOR})
_COMMAND: Final = frozenset({Role.OPERATOR, Role.ADMINISTRATOR})
_ANALYST: Final = frozenset({Role.ANALYST, Role.AUDITOR, Role.ADMINISTRATOR})
_AUDITOR: Final = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
_ADMINISTRATOR: Final = frozenset({Role.ADMINISTRATOR})

RIGHTS: Final[Mapping[tuple[str, str], frozenset[Role] | None]] = MappingProxyType(
    {
        ("GET", "/healthz"): OPEN,
        ("POST", "/api/session"): OPEN,
        ("GET", "/api/session"): EVERY_ROLE,
        ("DELETE", "/api/session"): EVERY_ROLE,
        ("POST", "/api/session/password"): EVERY_ROLE,
        ("GET", "/api/fleet"): EVERY_ROLE,
        ("GET", "/api/batteries/{device}"): EVERY_ROLE,
        ("GET", "/api/batteries/{device}/signals"): EVERY_ROLE,
        ("GET", "/api/batteries/{device}/curves"): EVERY_ROLE,
        ("GET", "/api/batteries/{device}/orders"): EVERY_ROLE,
        ("POST", "/api/batteries/{device}/orders"): _COMMAND,
        ("POST", "/api/batteries/{device}/orders/signed"): _COMMAND,
        ("GET", "/api/receipts/{receipt_id}"): EVERY_ROLE,
        ("GET", "/api/trust"): EVERY_ROLE,
        ("GET", "/api/events"): EVERY_ROLE,
        ("GET", "/metrics"): EVERY_ROLE,
        ("GET", "/openapi.json"): EVERY_ROLE,
        ("POST", "/api/verify"): _OPERATOR,
        ("GET", "/api/export/audit"): _AUDITOR,
        ("GET", "/api/export/{table}"): _ANALYST,
        ("GET", "/api/accounts"): _ADMINISTRATOR,
        ("POST", "/api/accounts"): _ADMINISTRATOR,
        ("POST", "/api/accounts/{user}/password"): _ADMINISTRATOR,
        ("DELETE", "/api/accounts/{user}"): _ADMINISTRATOR,
        ("POST", "/api/devices/{device}/revoke"): _ADMINISTRATOR,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: a route and who may take it, None for everybody."""

    method: str
    path: str
    roles: frozenset[Role] | None


_ROWS: Final[tuple[tuple[re.Pattern[str], Row], ...]] = tuple(
    (compile_path(path)[0], Row(method, path, roles)) for (method, path), roles in RIGHTS.items()
)


def row_for(method: str, path: str) -> Row | None:
    """The first row that fits a request; None says that nobody may."""
    for pattern, row in _ROWS:
        if row.method == method and pattern.match(path):
            return row
    return None


def check_declared(routes: Iterable[Any]) -> None:
    """Every route stands in the table.

    Raises:
        UsageError: one does not; the program must not start.
    """
    for route in iter_route_contexts(list(routes)):
        methods = route.methods or {"*"}
        for method in methods:
            if (method, route.path) not in RIGHTS:
                raise UsageError(
                    f"{method} {route.path} has no row in the table of rights",
                    hint="Say in cellwarden.hub.roles.RIGHTS who may use it.",
                )
