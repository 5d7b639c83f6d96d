"""What a person sees of drivers, and the certificate of a server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cellwarden.edge.source import Source
from cellwarden.trust.identity import Identity, Roots, load_certificate, load_key, utc
from journeys.system import System, twin
from trust.making import NOW


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    made = System(tmp_path_factory.mktemp("drivers"))
    yield made
    made.close()


def test_every_driver_and_output_is_listed() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "cellwarden", "drivers"], capture_output=True, text=True, check=True
    )
    for name in ("record", "twin", "modbus", "serial", "replay", "sparkplug", "home_assistant"):
        assert name in told.stdout


def test_a_look_prints_frames_and_sends_nothing(system: System) -> None:
    folder = system.enrol("shed", twin("shed", 5))
    told = system.cli("look", "shed", "--count", "9")
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("lowest cell") == 5
    assert "Positive current charges" in told.stdout
    assert not (folder / "outbox.sqlite").exists()


def test_a_look_says_what_is_wrong(system: System, tmp_path: Path) -> None:
    folder = system.enrol("mute")
    (folder / "source.toml").write_text(
        '[serial]\nport = "/dev/none"\n[pack]\nchemistry = "LFP"\nnominal_capacity_ah = 50\n'
        "series_count = 4\nsensor_count = 1\n"
    )
    told = system.cli("look", "mute", "--count", "1")
    assert told.returncode == 0, told.stderr
    assert "no reading" in told.stdout
    assert "silent 1" in told.stdout
    assert "/dev/none" in told.stdout
    system.reads("mute", Source(record=str(tmp_path / "none.csv")))
    assert system.cli("look", "mute").returncode != 0


def test_a_server_gets_a_certificate_that_serves_and_signs_nothing(system: System) -> None:
    told = system.cli("certify", "broker", "--host", "broker.example", "--host", "127.0.0.1")
    assert told.returncode == 0, told.stderr
    folder = system.home.path / "servers" / "broker"
    certificate = load_certificate((folder / "server.crt").read_bytes())
    authority = load_certificate((folder / "ca.crt").read_bytes())
    key = load_key((folder / "server.key").read_bytes())
    assert key.public_key() == certificate.public_key()
    assert (folder / "server.key").stat().st_mode & 0o777 == 0o600
    identity = Roots(authority).check(certificate, utc(NOW), past=True)
    assert identity == Identity("server", "broker")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example"]
    again = system.cli("certify", "broker", "--host", "other")
    assert again.returncode != 0
    assert "there is a server" in again.stderr
    assert "Revoked 1 certificate of broker." in system.cli("revoke", "broker").stdout
