from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import Regime, RegimeBounds
from cellwarden.errors import DecodeError, Error, IdentityError, UsageError
from cellwarden.trust.identity import Authority, Identity, Roots
from cellwarden.wire.leeway import Leeway, open_leeway, sign_leeway
from trust.making import NOW, Certified, authority, certify

BOUNDS = RegimeBounds(
    Regime(0.15, 0.7, 0.2, 30.0), Regime(), applies=True, expires_unix_time_second=NOW + 1e6
)


@cache
def ours() -> Authority:
    return authority()


@cache
def operator(role: str = "administrator") -> Certified:
    return certify(ours(), Identity("operator", "ann", role))


def signed(by: Certified, device: str = "pack-1") -> bytes:
    return sign_leeway(Leeway(device, BOUNDS), by.key, by.certificate)


def roots() -> Roots:
    return Roots(ours().certificate)


def test_an_administrators_bounds_are_believed_and_come_back_whole() -> None:
    assert open_leeway(signed(operator()), "pack-1", roots(), NOW) == BOUNDS


@pytest.mark.parametrize(
    "by",
    [
        lambda: operator("operator"),
        lambda: certify(ours(), Identity("device", "pack-1")),
        lambda: certify(authority(), Identity("operator", "ann", "administrator")),
    ],
    ids=["another role", "a device", "another authority"],
)
def test_nobody_else_gives_bounds(by: object) -> None:
    with pytest.raises(IdentityError):
        open_leeway(signed(by()), "pack-1", roots(), NOW)  # type: ignore[operator]


def test_another_devices_bounds_and_bounds_without_an_end_are_refused() -> None:
    with pytest.raises(IdentityError):
        open_leeway(signed(operator(), "pack-2"), "pack-1", roots(), NOW)
    endless = replace(BOUNDS, expires_unix_time_second=float("inf"))
    with pytest.raises(UsageError):
        sign_leeway(Leeway("pack-1", endless), operator().key, operator().certificate)


def test_any_altered_byte_is_refused() -> None:
    whole = signed(operator())
    for place in range(0, len(whole), 7):
        altered = bytearray(whole)
        altered[place] ^= 1
        with pytest.raises(Error):
            open_leeway(bytes(altered), "pack-1", roots(), NOW)


@given(st.binary(max_size=120))
def test_random_bytes_are_no_bounds(data: bytes) -> None:
    with pytest.raises(DecodeError):
        open_leeway(data, "pack-1", roots(), NOW)
