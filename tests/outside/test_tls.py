"""A running hub as programs that are not ours see it: sslscan and OpenSSL's own client."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwarden.hub.config import HubConfig, load_config
from journeys.system import System

pytestmark = pytest.mark.outside


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubConfig]:
    """A hub that runs as a process."""
    system = System(tmp_path_factory.mktemp("outside"))
    try:
        system.start_hub()
        yield load_config(system.home.hub)
    finally:
        system.close()


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine; `apt-get install {name}` brings it")
    return found


def ports(hub: HubConfig) -> list[int]:
    return [hub.device_port, hub.page_port]


def test_sslscan_finds_tls_1_3_with_aes_256_and_nothing_else(hub: HubConfig) -> None:
    for port in ports(hub):
        scan = subprocess.run(
            [program("sslscan"), "--no-colour", f"127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        enabled = set(re.findall(r"^(SSLv\d|TLSv1\.\d)\s+enabled", scan, re.MULTILINE))
        assert enabled == {"TLSv1.3"}, scan
        accepted = re.findall(
            r"^(?:Preferred|Accepted)\s+\S+\s+\d+ bits\s+(\S+)", scan, re.MULTILINE
        )
        assert accepted == ["TLS_AES_256_GCM_SHA384"], scan


def openssl(port: int, *arguments: str) -> str:
    done = subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *arguments],
        input="",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "wish", [["-tls1_2"], ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]]
)
def test_openssl_cannot_agree_on_less(hub: HubConfig, wish: list[str]) -> None:
    for port in ports(hub):
        said = openssl(port, *wish)
        assert "Cipher is (NONE)" in said, said


def test_openssl_agrees_on_aes_256(hub: HubConfig) -> None:
    assert "TLS_AES_256_GCM_SHA384" in openssl(hub.page_port, "-tls1_3")


def test_a_foreign_certificate_does_not_reach_the_devices_listener(
    hub: HubConfig, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "crt.pem"
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stranger"
    subprocess.run(
        [program("openssl"), *asked.split(), "-keyout", str(key), "-out", str(certificate)],
        capture_output=True,
        check=True,
    )
    said = openssl(hub.device_port, "-cert", str(certificate), "-key", str(key), "-ign_eof")
    assert "alert" in said.lower(), said
