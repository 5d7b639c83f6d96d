"""Pairing from the command line: a pack gets a key, a device learns which pack is its own."""

import time
from contextlib import ExitStack, closing
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console

from cellwarden.cli.home import Home
from cellwarden.domain import check_name
from cellwarden.edge.config import open_outbox
from cellwarden.edge.controller import lock_out_others
from cellwarden.edge.pack_identity import ELEMENT_FOLDER, PackIdentity, element_of
from cellwarden.errors import UsageError
from cellwarden.trust.identity import (
    Identity,
    Roots,
    load_certificate,
    load_key,
    new_key,
    pack_key,
    request,
)
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
    with ExitStack() as stack:
        lock_out_others(folder, stack)  # what runs would keep its own pairing over this one
        _pair(folder, name)


def _pair(folder: Path, name: str) -> None:
    roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
    with closing(open_outbox(folder)) as outbox:
        identity = PackIdentity(name, element_of(folder), outbox, lambda: roots, time.time)
        pairing = identity.pair()
    Console().print(f"{name} belongs to pack {pairing.pack} from now on")


def _make_element(home: Home, device: str, pack: str) -> None:
    place = home.device(device) / ELEMENT_FOLDER
    begun = (place / "keys" / "master.key").exists()  # and the power went before its end
    keys = FileKeyStore(place / "keys") if begun else FileKeyStore.create(place / "keys")
    if not keys.has("pack"):
        keys.put("pack", pack_key(new_key()))
    key = load_key(keys.get("pack"))
    identity = Identity("pack", pack)
    certificate = home.certify_pack(request(identity, key), identity)
    write_durably(place / "pack.crt", certificate.public_bytes(Encoding.PEM))
