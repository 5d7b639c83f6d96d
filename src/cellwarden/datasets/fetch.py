"""Get the files of a data set from where they are public; nothing is kept that is not proved.

Rules
- Only https, also after a redirect, with a certificate that holds.
- Bytes go to a hidden file beside the target. It takes its name when length and SHA-256 are those
  of the catalogue; otherwise it is removed. Nothing is resumed.
- A file that is there already is never overwritten.
"""

import errno
import hashlib
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from cellwarden.datasets.description import DataSet, Part
from cellwarden.datasets.digest import sha256_of
from cellwarden.errors import DataError, IdentityError, TrustError, UnavailableError, UsageError

__all__ = ["Fetched", "fetch", "fetch_part"]

_REDIRECTS: Final = 5
_REDIRECT: Final = (301, 302, 303, 307, 308)
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_SUFFIX: Final = ".fetching"
_STALE_SECOND: Final = 3600.0  # a fetch that lives writes or fails every 30 s
_Progress = Callable[[Part, int], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A part and whether it was fetched now or was there; `said` tells why not."""

    part: Part
    path: Path
    state: str
    said: str = ""


def fetch(
    known: DataSet,
    folder: Path,
    *,
    context: ssl.SSLContext | None = None,
    progress: _Progress | None = None,
) -> Iterator[Fetched]:
    """Get each part that has an address to `folder`/name/path, one after the other.

    Raises:
        UsageError: no part has an address, or the folder cannot be made.
        UnavailableError: the network or the disk does not let it.
        TrustError: the server cannot be believed.
        DataError: the bytes are not those of the catalogue, or another file has the name.
    """
    if not any(part.address for part in known.parts):
        raise UsageError(
            f"{known.name}: no public address with a known digest",
            hint=f"Fetch it yourself from {known.page} into {folder / known.name}, then run"
            f" `cellwarden datasets check {known.name} --data {folder} --record`.",
        )
    for part in known.parts:
        path = folder / known.name / part.path
        if not part.address:
            yield Fetched(part, path, "no address", f"see {known.page}")
        elif fetch_part(part, path, context=context, progress=progress):
            yield Fetched(part, path, "fetched")
        else:
            yield Fetched(part, path, "there already")


def fetch_part(
    part: Part,
    path: Path,
    *,
    context: ssl.SSLContext | None = None,
    progress: _Progress | None = None,
) -> bool:
    """Get one part to a path; false when it was there already.

    Raises:
        UnavailableError: the network or the disk does not let it.
        TrustError: the server cannot be believed.
        DataError: the bytes are not those of the catalogue, or another file has the name.
    """
    if path.exists():
        if path.is_file() and sha256_of(path) == part.sha256:
            return False
        raise DataError(f"{path} is another file", hint="Move it away, or fetch elsewhere.")
    with _writing(path) as file, _stream(part, context) as answer:
        _copy(part, answer, file, progress)
        file.flush()
        os.fsync(file.fileno())
        Path(file.name).replace(path)
    return True


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    """A hidden file beside the target, removed when it did not take the target's name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_stale(path)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX, delete=False
        ) as file:
            try:
                yield file
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UnavailableError(
            f"{path}: {'the disk is full' if full else error.strerror}",
            hint="Free or mend the disk, or fetch elsewhere.",
        ) from error


def _clear_stale(path: Path) -> None:
    """Remove what a killed fetch of this file left."""
    for left in path.parent.glob(f".{path.name}.*{_SUFFIX}"):
        with suppress(OSError):  # another fetch may have been quicker
            if time.time() - left.stat().st_mtime > _STALE_SECOND:
                left.unlink()


@contextmanager
def _stream(part: Part, context: ssl.SSLContext | None) -> Iterator[httpx.Response]:
    """The answer that holds the file, redirects followed."""
    headers = {"Accept-Encoding": "identity"}  # the digest is of the file, not of a packed form
    try:
        with httpx.Client(verify=context or True, timeout=_TIMEOUT, headers=headers) as client:
            address = httpx.URL(part.address)
            for _ in range(_REDIRECTS + 1):
                if address.scheme != "https":
                    raise TrustError(
                        f"{part.path}: sent on to {address.scheme}://{address.host}, unprotected",
                        hint="Only https is followed; tell whoever keeps the catalogue.",
                    )
                with client.stream("GET", address) as answer:
                    if answer.status_code not in _REDIRECT:
                        _check_answer(part, answer)
                        yield answer
                        return
                    address = address.join(answer.headers.get("location", ""))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _said_of(part, error) from error
    raise UnavailableError(f"{part.path}: sent on too often", hint="Try again later.")


def _check_answer(part: Part, answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        raise UnavailableError(
            f"{part.path}: {answer.url.host} answers {answer.status_code}", hint="Try again later."
        )
    stated = answer.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) != part.byte_count:
        raise _another(part, f"{int(stated):,} bytes, not {part.byte_count:,}")


def _copy(part: Part, answer: httpx.Response, file: IO[bytes], progress: _Progress | None) -> None:
    """Write what comes, never more than the catalogue states, and prove it."""
    digest, count = hashlib.sha256(), 0
    for piece in answer.iter_raw():
        count += len(piece)
        if count > part.byte_count:
            raise _another(part, f"more than {part.byte_count:,} bytes")
        digest.update(piece)
        file.write(piece)
        if progress:
            progress(part, count)
    if count < part.byte_count:
        raise UnavailableError(
            f"{part.path}: cut short after {count:,} of {part.byte_count:,} bytes",
            hint="Fetch it again; nothing was kept.",
        )
    if digest.hexdigest() != part.sha256:
        raise _another(part, f"SHA-256 {digest.hexdigest()}, not {part.sha256}")


def _another(part: Part, why: str) -> DataError:
    return DataError(
        f"{part.path}: the address gives another file: {why}",
        hint="Nothing was kept. The file was changed where it is public, or on the way.",
    )


def _said_of(part: Part, error: Exception) -> UnavailableError | TrustError:
    """What a failure of the network is to us."""
    host = httpx.URL(part.address).host
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return IdentityError(
                f"{part.path}: the certificate of {host} does not hold: {cause.verify_message}",
                hint="Do not go on; look at the clock and at who stands in between.",
            )
        cause = cause.__cause__ or cause.__context__
    return UnavailableError(
        f"{part.path}: {host}: {error or type(error).__name__}",
        hint="Is there a network? Nothing was kept; fetch it again.",
    )
