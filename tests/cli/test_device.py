"""Looking at a device and letting models in, as somebody at its terminal does."""

import time
from importlib import resources
from pathlib import Path

import pytest

from cellwarden.cli.device import allow_command, check_command
from cellwarden.cli.home import Home
from cellwarden.edge.device_config import DeviceConfig, PackPart, write_device_config
from cellwarden.edge.models import load_models
from cellwarden.errors import UsageError
from cellwarden.trust.identity import Roots, load_certificate

NAME = "pack-1"
SHIPPED = Path(str(resources.files("cellwarden.health"))) / "models"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("home"))
    made.init()
    made.enrol(NAME)
    write_device_config(made.device(NAME), DeviceConfig(PackPart("NMC", 50.0, 12)))
    return made


def test_a_sound_device_is_shown_and_one_that_is_not_is_named(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    check_command(home, NAME)
    assert "12 cells of NMC" in capsys.readouterr().out
    home.enrol("bare")
    with pytest.raises(UsageError, match="bare cannot start: configuration"):
        check_command(home, "bare")


def test_models_are_let_in_with_the_operators_signature(home: Home) -> None:
    allow_command(home, NAME, SHIPPED / "soc-lg-hg2.cbor", "soc", "")
    allow_command(home, NAME, None, "order", "ab" * 32)
    folder = home.device(NAME)
    roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
    told = load_models(folder, roots, time.time())
    assert told.names == {"soc": "soc-lg-hg2"}
    assert told.obeyed == {"ab" * 32}


@pytest.mark.parametrize(
    ("file", "purpose", "sha256"),
    [
        (SHIPPED / "soc-lg-hg2.cbor", "everything", ""),
        (None, "soc", "ab" * 32),
        (None, "order", ""),
        (SHIPPED / "soc-lg-hg2.cbor", "order", "ab" * 32),
        (SHIPPED / "nothing.cbor", "soc", ""),
        (SHIPPED / "SHA256SUMS", "soc", ""),
        (SHIPPED / "pulse-nmc.cbor", "soh", ""),
    ],
)
def test_what_cannot_be_let_in_says_why(
    home: Home, file: Path | None, purpose: str, sha256: str
) -> None:
    with pytest.raises(UsageError) as refused:
        allow_command(home, NAME, file, purpose, sha256)
    assert refused.value.hint
