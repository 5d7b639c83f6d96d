"""Ten thousand packs go through a year of seasons; what each duty costs them is printed.

    python examples/fleet_year.py                        10,000 packs, 365 days
    python examples/fleet_year.py --packs 500 --days 30
    python examples/fleet_year.py --climate hot --gentle  never above 80 % of charge

Duties are the package's own; those of the data set `duty_profiles` are added where it is there.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from cellwarden.datasets.duties import climate_named, climate_names, duty_named
from cellwarden.errors import UsageError
from cellwarden.physics import fleet
from cellwarden.physics.duty import DUTIES, Duty
from cellwarden.physics.fleet_config import FleetConfig, Group

MEASURED = ("personal_ev_combined", "residential_pv_bess_ca_mild")
DAY = 86_400


def duties() -> Iterator[Duty]:
    """The package's duties, and two of the data set's where it is there."""
    yield from DUTIES.values()
    for name in MEASURED:
        try:
            yield duty_named(name)
        except UsageError as error:
            print(f"Without {name}: {error}")


def main(arguments: list[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--packs", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--climate", default="temperate", choices=climate_names())
    parser.add_argument("--gentle", action="store_true", help="charge to 80 % at most")
    asked = parser.parse_args(arguments)
    used, air = list(duties()), climate_named(asked.climate)
    groups = tuple(
        Group(duty.name, len(part), duty, air)
        for duty, part in zip(used, np.array_split(range(asked.packs), len(used)), strict=True)
    )
    config = FleetConfig(groups, seed=1)
    policy = fleet.free_policy(config)
    if asked.gentle:
        policy = policy._replace(high_soc_fraction=np.full(config.pack_count, 0.8))
    state, seen = fleet.step(config, fleet.start(config), asked.days * DAY, policy)
    told = fleet.truth(config, state)
    new = fleet.truth(config, fleet.start(config)).capacity_ah
    print(f"{config.pack_count:,} packs, {asked.days} days, {asked.climate}")
    print(f"{'duty':32}{'cycles':>8}{'°C':>7}{'at rest':>9}{'in use':>9}", end="")
    print(f"{'lost, 5-95 %':>17}{'unserved':>10}")
    first = 0
    for group in groups:
        mine = slice(first, first + group.pack_count)
        first += group.pack_count
        lost = 1.0 - told.capacity_ah[mine] / new[mine]
        low, high = np.percentile(lost, [5, 95])
        wanted = seen.discharging_capacity_ah[mine].sum() + seen.unserved_capacity_ah[mine].sum()
        missed = seen.unserved_capacity_ah[mine].sum() / wanted if wanted > 0.0 else 0.0
        cycles = seen.discharging_capacity_ah[mine].mean() / config.nominal_capacity_ah
        print(
            f"{group.name:32}{cycles:8.1f}{seen.mean_surface_temperature_celsius[mine].mean():7.1f}"
            f"{told.calendar_loss_fraction[mine].mean():9.2%}"
            f"{told.cycle_loss_fraction[mine].mean():9.2%}"
            f"{f'{low:.2%} - {high:.2%}':>17}{missed:10.1%}"
        )


if __name__ == "__main__":
    main()
