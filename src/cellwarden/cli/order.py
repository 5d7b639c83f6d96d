"""Orders from the command line: signed by the operator, not by the hub."""

import base64
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.domain import Curb, Plan, Request
from cellwarden.errors import DataError, UsageError
from cellwarden.trust.identity import Identity, load_certificate, load_key
from cellwarden.trust.keys import FileKeyStore
from cellwarden.wire.order import Body, Delivery, Order, Wish, sign_order

__all__ = ["Wanted", "list_orders", "order_command"]

_HOUR_SECOND: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was said on the command line; None is what was not said."""

    charge_ampere: float | None = None
    discharge_ampere: float | None = None
    low_soc: float | None = None
    high_soc: float | None = None
    request: str = ""
    plan: Path | None = None
    withdraw: str = ""

    def body(self, device: str) -> Body:
        """What the order asks for.

        Raises:
            UsageError: nothing, two things at once, or something that cannot be.
        """
        bounds = (self.charge_ampere, self.discharge_ampere, self.low_soc, self.high_soc)
        curbs = any(bound is not None for bound in bounds)
        if sum((curbs, bool(self.request), self.plan is not None, bool(self.withdraw))) != 1:
            raise UsageError(
                "an order is one thing",
                hint="Give bounds, or --request, or --plan, or --withdraw.",
            )
        if curbs:
            free = (inf, inf, 0.0, 1.0)
            told = (
                own if own is not None else none for own, none in zip(bounds, free, strict=True)
            )
            try:
                return Curb(*told)
            except DataError as error:
                raise UsageError(str(error), hint=error.hint) from error
        if self.plan is not None:
            return _read_plan(self.plan, device)
        return _wish(self.request) if self.request else _withdrawn(self.withdraw, device)


class _Plan(msgspec.Struct, forbid_unknown_fields=True):
    start_unix_time_second: list[float]
    charge_watt: list[float]
    discharge_watt: list[float]


def _read_plan(path: Path, device: str) -> Plan:
    try:
        told = msgspec.json.decode(path.read_bytes(), type=_Plan)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"{path}: {error}",
            hint="Give JSON: start_unix_time_second, charge_watt, discharge_watt, a number each.",
        ) from error
    columns = (told.start_unix_time_second, told.charge_watt, told.discharge_watt)
    return Plan(device, *(np.array(column, dtype=np.float64) for column in columns))


def _wish(name: str) -> Wish:
    try:
        return Wish(Request(name))
    except ValueError as error:
        raise UsageError(
            f"no pack knows the request {name!r}", hint="standby, balance or charge."
        ) from error


def _withdrawn(kind: str, device: str) -> Body:
    none = np.empty(0)
    empty: dict[str, Body] = {
        "limits": Curb(),
        "plan": Plan(device, none, none, none),
        "request": Wish(None),
    }
    if kind not in empty:
        raise UsageError(
            f"there are no orders of kind {kind!r}", hint=f"One of {', '.join(empty)}."
        )
    return empty[kind]


def order_command(
    home: Home, device: str, wanted: Wanted, *, hours: float, after_hours: float
) -> None:
    """Sign an order as the operator and bring it to the hub.

    Raises:
        Error: it cannot be, the hub does not take it, or nobody may order that.
    """
    body = wanted.body(device)
    if not (hours > 0.0 and after_hours >= 0.0):
        raise UsageError("an order lasts some time from now on", hint="Give hours above 0.")
    certificate = load_certificate((home.operator / "operator.crt").read_bytes())
    key = load_key(FileKeyStore(home.operator / "keys").get("identity"))
    who, now = Identity.of(certificate), time.time()
    path = f"/api/batteries/{device}/orders"
    with HubClient(home) as client:
        sequence = int(client.get(path).json()["next_sequence"])
        starts = now + after_hours * _HOUR_SECOND
        order = Order(
            device,
            who.uri(),
            who.role,
            who.name,
            sequence,
            now,
            starts,
            starts + hours * _HOUR_SECOND,
            "",
            body,
        )
        sent = Delivery.of(sign_order(order, key, certificate), certificate)
        told = {name: base64.b64encode(getattr(sent, name)).decode() for name in Delivery.__slots__}
        client.post(f"{path}/signed", told)
    Console().print(
        f"Order {sequence} to {device} is at the hub. It is obeyed if it only tightens;"
        f" `cellwarden orders {device}` says what became of it."
    )


def list_orders(home: Home, device: str) -> None:
    """Print the orders to a device and what became of them."""
    with HubClient(home) as client:
        told: dict[str, Any] = client.get(f"/api/batteries/{device}/orders").json()
    console, table = Console(), Table(title=f"orders to {device}", title_justify="left")
    for title in ("issuer", "number", "what", "until", "state"):
        table.add_column(title, overflow="fold")
    for one in told["orders"]:
        body = ", ".join(f"{name} {value}" for name, value in one["body"].items())
        until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one["expires_unix_time_second"]))
        state = one["state"] + (f": {one['message']}" if one["message"] else "")
        who = f"{one['role']} {one['actor']}".strip()
        table.add_row(who, str(one["sequence"]), body or f"no {one['kind']}", until, state)
    console.print(table)
    for one in told["strange"]:
        times = f", {one['count']} times" if one["count"] > 1 else ""
        console.print(
            f"refused, and not given here so: {one['event']}{times}, number {one['sequence']} of"
            f" {one['issuer'] or 'somebody unknown'}: {one['message']}",
            markup=False,
        )
