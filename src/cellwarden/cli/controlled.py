"""Commands of controlled packs, and orders to them; imports when a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from cellwarden.cli.options import HomeOption, with_aes256_only

__all__ = ["device", "order", "orders"]

device = typer.Typer(
    help="Controlled packs of this machine.", no_args_is_help=True, rich_markup_mode=None
)


@device.command("check")
def device_check(name: str, home: HomeOption = None) -> None:
    """Look at everything that a controlled pack stands on, and change nothing."""
    from cellwarden.cli.device import check_command
    from cellwarden.cli.home import Home

    check_command(Home.find(home), name)


@device.command("run")
def device_run(name: str, home: HomeOption = None) -> None:
    """Control a pack until stopped: ten cycles a second, frames to the hub, orders from it."""
    with_aes256_only()
    from cellwarden.cli.device import run_device
    from cellwarden.cli.home import Home

    run_device(Home.find(home), name)


@device.command("allow")
def device_allow(
    name: str,
    file: Annotated[Path | None, typer.Argument(help="A model's file.")] = None,
    home: HomeOption = None,
    *,
    purpose: Annotated[str, typer.Option("--for", help="soc, soh, anomaly or order.")],
    sha256: Annotated[str, typer.Option(help="For orders: the model's digest alone.")] = "",
) -> None:
    """Let a device use a model, or obey a model's orders; signed with your own key."""
    from cellwarden.cli.device import allow_command
    from cellwarden.cli.home import Home

    allow_command(Home.find(home), name, file, purpose, sha256)


def order(
    device: str,
    home: HomeOption = None,
    *,
    charge_ampere: Annotated[float | None, typer.Option(help="Charge with no more.")] = None,
    discharge_ampere: Annotated[float | None, typer.Option(help="Discharge with no more.")] = None,
    low_soc: Annotated[float | None, typer.Option(help="Not below this charge, 0 to 1.")] = None,
    high_soc: Annotated[float | None, typer.Option(help="Not above this charge, 0 to 1.")] = None,
    request: Annotated[str, typer.Option(help="standby, balance or charge.")] = "",
    plan: Annotated[Path | None, typer.Option(help="A plan's powers, as JSON.")] = None,
    withdraw: Annotated[str, typer.Option(help="Take back limits, plan or request.")] = "",
    hours: Annotated[float, typer.Option(help="How long it holds.")] = 24.0,
    after_hours: Annotated[float, typer.Option(help="When it begins to.")] = 0.0,
) -> None:
    """Order a battery to keep to less than it allows itself; signed with your own key."""
    from cellwarden.cli.home import Home
    from cellwarden.cli.order import Wanted, order_command

    wanted = Wanted(charge_ampere, discharge_ampere, low_soc, high_soc, request, plan, withdraw)
    order_command(Home.find(home), device, wanted, hours=hours, after_hours=after_hours)


def orders(device: str, home: HomeOption = None) -> None:
    """List the orders to a battery and what became of them."""
    from cellwarden.cli.home import Home
    from cellwarden.cli.order import list_orders

    list_orders(Home.find(home), device)
