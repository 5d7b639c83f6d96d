"""A small disk of its own for a folder: a tmpfs in a mount namespace."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _flags() -> list[str]:
    return ["-m"] if os.geteuid() == 0 else ["-U", "-r", "-m"]


class SmallDisk:
    """Mounted over a folder for processes that are started `inside`; others see the old folder."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        self.folder = folder
        with tempfile.TemporaryDirectory() as aside:
            copy = Path(aside) / "copy"
            shutil.copytree(folder, copy)
            script = (
                f"mount -t tmpfs -o size={size_mib}m,mode=700 tmpfs {folder}"
                f" && cp -a {copy}/. {folder}/ && echo ready && exec sleep 86400"
            )
            self._keeper = subprocess.Popen(
                ["unshare", *_flags(), "sh", "-c", script],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if self._said() != "ready":
                pytest.skip("mount namespaces are not allowed here")

    def _said(self) -> str:
        assert self._keeper.stdout is not None
        return self._keeper.stdout.readline().strip()

    @property
    def inside(self) -> list[str]:
        """What stands before a command so that it runs on this disk."""
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        return ["nsenter", "-t", str(self._keeper.pid), *user, "-m", "--"]

    @property
    def path(self) -> Path:
        """The folder on this disk, seen from outside."""
        return Path(f"/proc/{self._keeper.pid}/root{self.folder}")

    def fill(self) -> None:
        """Leave not one byte."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the space back."""
        (self.path / "filler").unlink()

    def set_writable(self, *, writable: bool) -> None:
        """Remount; nothing on it may be open for writing."""
        mode = "rw" if writable else "ro"
        command = [*self.inside, "mount", "-o", f"remount,{mode}", str(self.folder)]
        subprocess.run(command, check=True)

    def bring_back(self) -> None:
        """Copy what is on the disk to where everybody sees it."""
        shutil.copytree(self.path, self.folder, dirs_exist_ok=True)

    def close(self) -> None:
        """Let the disk go."""
        self._keeper.kill()
        self._keeper.communicate()


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[SmallDisk]:
    """A small disk over a folder.

    Skips the test where namespaces are not allowed or the tools are missing.
    """
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "mount")):
        pytest.skip("unshare, nsenter or mount is missing")
    disk = SmallDisk(folder, size_mib)
    try:
        yield disk
    finally:
        disk.close()
