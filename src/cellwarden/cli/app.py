"""Every command and its options; what a command needs is imported when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cellwarden.cli.controlled import device, order, orders
from cellwarden.cli.datasets import datasets
from cellwarden.cli.options import HomeOption, with_aes256_only
from cellwarden.cli.pack import pack
from cellwarden.errors import EXIT_CODE, Error, UsageError, look_up

__all__ = ["app", "main"]

app = typer.Typer(
    name="cellwarden",
    help="Battery fleets watched from the sensor to the decision, with proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


MappingOption = Annotated[
    Path | None, typer.Option("--mapping", help="A TOML file that says what the columns are.")
]
SignOption = Annotated[
    int | None,
    typer.Option(
        "--current-sign",
        help="1 where positive current charges in the file, -1 where it discharges.",
    ),
]
RecordOption = Annotated[
    str | None, typer.Option("--record", help="One record of a file that holds several.")
]
TableOption = Annotated[
    Path | None, typer.Option("--out", help="Write all columns, .csv or .parquet.")
]


def main() -> None:
    """Run the command; errors become one line, a hint and an exit code."""
    try:
        app(standalone_mode=True)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  a command talks to its terminal
        if error.hint:
            print(f"  what to do: {error.hint}", file=sys.stderr)  # noqa: T201  likewise
        raise SystemExit(look_up(EXIT_CODE, error)) from None


@app.command()
def init(
    home: HomeOption = None,
    *,
    device_port: Annotated[int, typer.Option(help="Where devices connect.")] = 8443,
    page_port: Annotated[int, typer.Option(help="Where browsers connect.")] = 8440,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    lake: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="CATALOG FILES", help="Keep rows in a lake that hubs can share."),
    ] = None,
    join: Annotated[
        Path | None, typer.Option(help="Another home: one more hub on the lake of its hub.")
    ] = None,
) -> None:
    """Make a new installation: authority, hub, operator, trust roots."""
    from cellwarden.cli.home import Home
    from cellwarden.hub.store import LakeStore

    place = Home.find(home)
    if join is not None:
        if lake is not None:
            raise UsageError("a hub that joins has the other's lake", hint="Leave --lake out.")
        place.join(Home(join.absolute()), device_port=device_port, page_port=page_port, host=host)
        typer.echo(f"One more hub of {join} in {place.path}; it holds the ledger's keys.")
        return
    on = None if lake is None else LakeStore(*lake)
    password = place.init(device_port=device_port, page_port=page_port, host=host, lake=on)
    typer.echo(f"Installation in {place.path}")
    if password:
        typer.echo(f"Sign in as admin with {password} - shown this once.")
    typer.echo(f"Keep a copy of {place.trust} where the hub cannot reach it: `verify` needs it.")


@app.command()
def enrol(name: str, home: HomeOption = None) -> None:
    """Give a device its key and certificate."""
    from cellwarden.cli.home import Home

    typer.echo(f"Device {name} is in {Home.find(home).enrol(name)}")


@app.command()
def drivers() -> None:
    """What a battery can be connected by, and to whom it can be shown."""
    from cellwarden.cli.drivers import drivers_command

    drivers_command()


@app.command()
def look(
    name: Annotated[str, typer.Argument(help="An enrolled device of this machine.")],
    home: HomeOption = None,
    count: Annotated[int, typer.Option(help="How many frames.")] = 5,
) -> None:
    """Read a few frames of a device and print them: check wiring and sign before it sends."""
    with_aes256_only()
    from cellwarden.cli.drivers import look_command
    from cellwarden.cli.home import Home

    look_command(Home.find(home), name, count)


@app.command()
def certify(
    name: str,
    host: Annotated[list[str], typer.Option(help="A name or address that it is reached by.")],
    home: HomeOption = None,
) -> None:
    """Give a broker or a Modbus server a key and a certificate of our authority, as PEM files."""
    from cellwarden.cli.home import Home

    typer.echo(f"Key and certificate of {name} are in {Home.find(home).certify(name, host)}")


@app.command()
def revoke(name: str, home: HomeOption = None) -> None:
    """Revoke all certificates of a device; the hub refuses it within seconds."""
    from cellwarden.cli.home import Home

    count = Home.find(home).revoke(name)
    typer.echo(f"Revoked {count} certificate{'s' if count != 1 else ''} of {name}.")


@app.command()
def password(
    user: Annotated[str, typer.Argument(help="Whose account.")] = "admin",
    home: HomeOption = None,
) -> None:
    """Give an account a new password, on the hub's own machine; shown once."""
    from cellwarden.cli.home import Home
    from cellwarden.cli.password import password_command

    password_command(Home.find(home), user)


@app.command()
def hub(home: HomeOption = None) -> None:
    """Serve the hub until stopped."""
    with_aes256_only()
    from cellwarden.cli.home import Home
    from cellwarden.hub.app import run

    run(Home.find(home).hub)


@app.command()
def edge(
    names: Annotated[list[str], typer.Argument(help="Enrolled devices of this machine.")],
    home: HomeOption = None,
    record: Annotated[
        Path | None, typer.Option(help="A battery file to send, for a device that is new.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Run devices: read, sign, seal, keep, send; ends when the hub has everything."""
    with_aes256_only()
    from cellwarden.cli.devices import edge_command
    from cellwarden.cli.home import Home

    edge_command(Home.find(home), names, record, as_json=as_json)


@app.command()
def run(
    files: Annotated[list[Path] | None, typer.Argument(help="Battery files.")] = None,
    home: HomeOption = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Exit when the data is through.")] = False,
) -> None:
    """The main job: send records (or a small fleet of the twin), assess, prove, show."""
    with_aes256_only()
    from cellwarden.cli.home import Home
    from cellwarden.cli.run import run_command

    run_command(Home.find(home), files or [], once=once)


@app.command()
def verify(
    receipt: Annotated[Path | None, typer.Argument(help="A receipt; without one, all.")] = None,
    home: HomeOption = None,
    trust: Annotated[
        Path | None, typer.Option(help="Your copy of trust.toml. [default: the home's]")
    ] = None,
) -> None:
    """Prove the whole ledger, or one receipt offline; names the first bad record."""
    from cellwarden.cli.check import verify_command
    from cellwarden.cli.home import Home

    verify_command(Home.find(home), receipt, trust)


@app.command()
def read(
    file: Path,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each column would be taken for.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(help="A TOML file that says what the columns are.")
    ] = None,
    current_sign: Annotated[
        int | None,
        typer.Option(help="1 where positive current charges in the file, -1 where it discharges."),
    ] = None,
    record: Annotated[
        str | None, typer.Option(help="One record of a file that holds several.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it as BDF, .csv or .parquet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read a battery file and say what it holds; no hub and no keys are needed."""
    from cellwarden.cli.read import read_command

    read_command(file, dry_run, mapping, out, as_json, current_sign=current_sign, record=record)


@app.command()
def plot(
    picture: Annotated[str, typer.Argument(help="fan, fade, dqdv, nyquist or histogram.")],
    file: Path,
    *,
    out: Annotated[
        Path | None, typer.Option(help="FILE.png or FILE.svg. [default: FILE-PICTURE.png here]")
    ] = None,
    charge: Annotated[
        bool, typer.Option("--charge", help="fan, dqdv: charges instead of discharges.")
    ] = False,
    cycles: Annotated[str, typer.Option(help="fan, dqdv: these alone, as 1,100,500.")] = "",
    column: Annotated[str, typer.Option(help="histogram: of which column.")] = "voltage_volt",
    nominal: Annotated[float | None, typer.Option(help="fade: nominal capacity in Ah.")] = None,
) -> None:
    """Draw a battery file: voltage over charge, fade, dQ/dV, impedance, or how often what was."""
    from cellwarden.cli.plot import Wish, named_cycles, plot_command

    wish = Wish("charge" if charge else "discharge", named_cycles(cycles), column, nominal)
    typer.echo(f"Drawn in {plot_command(picture, file, out, wish)}")


@app.command()
def cycles(
    file: Path,
    *,
    mapping: MappingOption = None,
    current_sign: SignOption = None,
    record: RecordOption = None,
    out: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print one row a cycle: charge, energy, efficiency, voltage, resistance."""
    from cellwarden.cli.tables import tables_command

    tables_command(
        "cycles",
        file,
        mapping=mapping,
        current_sign=current_sign,
        record=record,
        out=out,
        as_json=as_json,
    )


@app.command()
def steps(
    file: Path,
    *,
    mapping: MappingOption = None,
    current_sign: SignOption = None,
    record: RecordOption = None,
    out: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print one row a step: kind, charge, energy, current, voltage, resistance."""
    from cellwarden.cli.tables import tables_command

    tables_command(
        "steps",
        file,
        mapping=mapping,
        current_sign=current_sign,
        record=record,
        out=out,
        as_json=as_json,
    )


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="A table of the store, or `tiles`: the ledger.")],
    target: Annotated[
        Path, typer.Argument(help="FILE.parquet, FILE.csv or FILE.bdf.csv; for tiles a folder.")
    ],
    home: HomeOption = None,
    device: Annotated[str | None, typer.Option(help="Rows of one device only.")] = None,
    trust: Annotated[
        Path | None, typer.Option(help="For tiles: your copy of trust.toml. [default: the home's]")
    ] = None,
) -> None:
    """Write a table to a file, or the ledger as C2SP tiles; the hub may run or be down."""
    from cellwarden.cli.export import export_command, export_tiles
    from cellwarden.cli.home import Home

    if what != "tiles":
        export_command(Home.find(home), what, target, device)
        return
    if device is not None:
        raise UsageError("the ledger is not kept by device", hint="Leave --device out.")
    export_tiles(Home.find(home), target, trust)


@app.command()
def bench(
    name: str,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer, shorter runs.")] = False,
    peers: Annotated[
        bool, typer.Option("--peers", help="Run other programs on the same data as well.")
    ] = False,
) -> None:
    """Print the figures of this machine; in a checkout."""
    with_aes256_only()
    from cellwarden.cli.bench import bench_command

    bench_command(name, as_json=as_json, quick=quick, peers=peers)


@app.command()
def faults(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Two conditions, one clean hour.")] = False,
    only: Annotated[str, typer.Option(help="These rows alone, as open_wire,cell_sum.")] = "",
) -> None:
    """Inject every fault into an emulated pack's bytes: what is seen, how fast, from which size."""
    from cellwarden.cli.faults import faults_command
    from cellwarden.datasets import data_folder

    rows = tuple(name.strip() for name in only.split(",") if name.strip())
    if not faults_command(rows, data_folder(), as_json=as_json, quick=quick):
        raise typer.Exit(1)


@app.command()
def choose(
    files: Annotated[list[Path], typer.Argument(help="A folder, a table, or a record a cell.")],
    *,
    task: Annotated[str, typer.Option(help="soh or life.")] = "soh",
    group: Annotated[str, typer.Option(help="Cells of one group alone, or of several.")] = "",
    cell: Annotated[str, typer.Option(help="The column that says whose a row is.")] = "",
    target: Annotated[str, typer.Option(help="The column to be told.")] = "",
    features: Annotated[str, typer.Option(help="Columns to tell it from, as V*,soc.")] = "",
    nominal: Annotated[float | None, typer.Option(help="Nominal capacity in Ah.")] = None,
    algorithms: Annotated[str, typer.Option(help="These alone, as ridge,SVR.")] = "",
    out: Annotated[Path | None, typer.Option(help="Draw it, FILE.png or FILE.svg.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the chosen model, FILE.cbor.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare algorithms on your own cells, and say which to take, if any."""
    from cellwarden.cli.choose import choose_command, listed
    from cellwarden.health.own_table import Wish

    wish = Wish(cell, target, listed(features), group, nominal)
    choose_command(files, task, wish, listed(algorithms), out=out, save=save, as_json=as_json)


@app.command()
def score(
    *,
    model: Annotated[str, typer.Option(help="A model's file, or the name of a shipped model.")],
    data: Annotated[Path, typer.Option(help="A folder laid out like a public set, or a file.")],
    task: Annotated[str, typer.Option(help="soh, life or soc.")],
    group: Annotated[str, typer.Option(help="Another group than the model is for.")] = "",
    cell: Annotated[str, typer.Option(help="The column that says whose a row is.")] = "",
    target: Annotated[str, typer.Option(help="The column that was to be told.")] = "",
    nominal: Annotated[float | None, typer.Option(help="Nominal capacity in Ah.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Score a saved model on cells that it has not seen; training cells are known and left out."""
    from cellwarden.cli.score import score_command
    from cellwarden.health.own_table import Wish

    wish = Wish(cell, target, (), group, nominal)
    score_command(model, data, task, wish, as_json=as_json)


app.add_typer(datasets, name="datasets")
app.command()(pack)
app.add_typer(device, name="device")
app.command()(order)
app.command()(orders)


models = typer.Typer(help="The shipped models.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models, name="models")


@models.command("list")
def models_list() -> None:
    """List the shipped models with their errors."""
    from cellwarden.cli.shelf import list_models

    list_models()


@models.command("show")
def models_show(name: Annotated[str, typer.Argument(help="As `models list` has it.")]) -> None:
    """Print the card of a shipped model: what it tells, from what, how well, where it holds."""
    from cellwarden.cli.shelf import show_model

    show_model(name)


@models.command("build")
def models_build(
    names: Annotated[list[str] | None, typer.Argument(help="These alone.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="The data sets. [default: CELLWARDEN_DATA]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to. [default: the package]")] = None,
) -> None:
    """Fit the shipped models again and print their scores."""
    from cellwarden.cli.shelf import build_models
    from cellwarden.datasets import data_folder

    package = Path(__file__).parents[1]
    pages = package.parents[1] / "docs" / "models"
    shipped = out is None and pages.is_dir()
    target = out or package / "health" / "models"
    build_models(data_folder(data), target, names or [], pages if shipped else None)


@models.command("export")
def models_export(
    file: Annotated[Path, typer.Argument(help="A portable model.")],
    *,
    onnx: Annotated[Path | None, typer.Option(help="Write an ONNX file.")] = None,
    c: Annotated[Path | None, typer.Option(help="Write NAME.c, and NAME.h beside it.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Digest of the file. [default: from SHA256SUMS beside it]")
    ] = None,
) -> None:
    """Write a portable model for a small machine, and say how far it differs from Python."""
    from cellwarden.cli.portable import export_model

    export_model(file, sha256, onnx, c)


@app.command()
def doctor(home: HomeOption = None) -> None:
    """Look at what the installation stands on; says what to do where it does not."""
    from cellwarden.cli.doctor import doctor_command
    from cellwarden.cli.home import Home

    doctor_command(Home.find(home))


@app.command()
def backup(target: Path, home: HomeOption = None) -> None:
    """Write a backup: TARGET, and TARGET.keys to be kept elsewhere."""
    from rich.console import Console

    from cellwarden.cli.backup import back_up
    from cellwarden.cli.home import Home

    back_up(Home.find(home), target, Console())


@app.command()
def restore(archive: Path, keys: Path, home: HomeOption = None) -> None:
    """Make an installation from a backup and its key file."""
    from rich.console import Console

    from cellwarden.cli.backup import restore as restore_backup
    from cellwarden.cli.home import Home

    restore_backup(Home.find(home), archive, keys, Console())
