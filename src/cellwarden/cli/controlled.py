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


@device.command("pair")
def device_pair(
    name: str,
    home: HomeOption = None,
    *,
    pack: Annotated[str, typer.Option(help="Name of a pack that has no key yet.")] = "",
) -> None:
    """Pair a device with its pack: from then on another or a cloned one is found."""
    from cellwarden.cli.home import Home
    from cellwarden.cli.pairing import pair_command

    pair_command(Home.find(home), name, pack)


@device.command("adapt")
def device_adapt(
    name: str,
    home: HomeOption = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Act, do not only propose.")] = False,
    high_soc: Annotated[float, typer.Option(help="Lowest full charge that it may choose.")] = 0.7,
    low_soc: Annotated[float, typer.Option(help="Highest empty charge that it may choose.")] = 0.15,
    charge_rate: Annotated[float, typer.Option(help="Slowest charge, 1/h.")] = 0.1,
    cooling: Annotated[float, typer.Option(help="Earliest cooling, in °C.")] = 30.0,
    missed_days: Annotated[float, typer.Option(help="Share of days that may fall short.")] = 0.02,
    missed_charge: Annotated[float, typer.Option(help="Share of charge likewise.")] = 0.005,
    days: Annotated[float, typer.Option(help="How long these bounds hold.")] = 365.0,
) -> None:
    """Let a device adapt to its user, within bounds that you sign."""
    from cellwarden.cli.adapting import Leash, adapt_command
    from cellwarden.cli.home import Home
    from cellwarden.domain import Regime

    gentle = Regime(low_soc, high_soc, charge_rate, cooling)
    leash = Leash(apply, gentle, Regime(), missed_days, missed_charge, days)
    adapt_command(Home.find(home), name, leash)


@device.command("wish")
def device_wish(
    name: str,
    setting: Annotated[str, typer.Argument(help="What to set, e.g. high_soc_fraction.")] = "",
    value: Annotated[float, typer.Argument(help="To what.")] = 0.0,
    home: HomeOption = None,
    *,
    days: Annotated[float, typer.Option(help="For how long it is left alone.")] = 7.0,
    undo: Annotated[bool, typer.Option("--undo", help="Take the newest change back.")] = False,
) -> None:
    """Overrule what a pack has adapted, or take its newest change back."""
    from cellwarden.cli.adapting import wish_command
    from cellwarden.cli.home import Home
    from cellwarden.edge.adapting import Wish

    wish_command(Home.find(home), name, Wish(setting, value, days if setting else 0.0, undo))


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
