"""Pairing from the command line: a pack gets a key, a device learns which pack is its own."""

import time
from contextlib import closing

from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console

from cellwarden.cli.home import Home
from cellwarden.domain import check_name
from cellwarden.edge.config import open_outbox
from cellwarden.edge.pack_identity import ELEMENT_FOLDER, PackIdentity, element_of
from cellwarden.errors import UsageError
from cellwarden.trust.identity import Identity, Roots, load_certificate, new_key, pack_key, request
from cellwarden.trust.keys import FileKeyStore, write_durably

__all__ = ["pair_command"]


def pair_command(home: Home, name: str, pack: str) -> None:
    """Pair a device with the pack in its folder; an emulated pack without a key gets one.

    Raises:
        UsageError: no such device, or the pack gives no answer.
        TrustError: what answers is no pack of our authority.
    """
    folder = home.device(name)
    if not folder.is_dir():
        raise UsageError(f"there is no device {name}", hint="Run `cellwarden enrol NAME`.")
    if element_of(folder) is None:
        _make_element(home, name, check_name(pack or name))
    roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
    with closing(open_outbox(folder)) as outbox:
        identity = PackIdentity(name, element_of(folder), outbox, roots, time.time)
        pairing = identity.pair()
    Console().print(f"{name} belongs to pack {pairing.pack} from now on")


def _make_element(home: Home, device: str, pack: str) -> None:
    place = home.device(device) / ELEMENT_FOLDER
    keys, key = FileKeyStore.create(place / "keys"), new_key()
    keys.put("pack", pack_key(key))
    identity = Identity("pack", pack)
    certificate = home.certify_pack(request(identity, key), identity)
    write_durably(place / "pack.crt", certificate.public_bytes(Encoding.PEM))
