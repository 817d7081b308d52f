# SPDX-License-Identifier: GPL-2.0-only
"""libfuse, which runs in threads of its own and takes its answers from a :class:`~hidma.commands.mount.tree.Tree`. It stands
for no C file.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import click

from hidma.commands.extras import requires

DEVICE = "/dev/fuse"


class Unusable(Exception):
    """Something that is needed is missing: a sentence."""


def binding() -> ModuleType:
    """The Python binding of libfuse.

    :raises Unusable: when it, or the library, is missing
    """
    try:
        with requires("fuse"):
            import mfusepy  # type: ignore[import-untyped]
    except click.ClickException as error:
        raise Unusable(error.format_message()) from None
    except ImportError as error:
        raise Unusable(f"the Python package mfusepy cannot be used: {error}") from None
    except OSError:
        raise Unusable("the library libfuse3 is missing; install it with: apt install libfuse3-3 fuse3") from None
    module: ModuleType = mfusepy
    return module


def check_device() -> None:
    """Whether this computer has FUSE.

    :raises Unusable: with the reason, and what to do
    """
    if not os.path.exists(DEVICE):
        raise Unusable(
            f"there is no {DEVICE} here; load the kernel module with: modprobe fuse (a container has to be given it: "
            f"--device {DEVICE} --cap-add SYS_ADMIN)"
        )
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        raise Unusable(
            f"{DEVICE} cannot be opened: {error.strerror}; a container has to be given it with --device {DEVICE}"
        ) from None


def check_mounter() -> None:
    """Whether this user may mount.

    :raises Unusable: without the program that mounts for a user
    """
    if os.geteuid() != 0 and shutil.which("fusermount3") is None and shutil.which("fusermount") is None:
        raise Unusable("only root mounts without the program fusermount3; install it with: apt install fuse3")


class Stderr:
    """Keeps what libfuse prints on stderr while it mounts, to be said in one sentence."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()
        sys.stderr.flush()
        self.saved = os.dup(2)
        os.dup2(self.file.fileno(), 2)

    def end(self) -> str:
        """Restore stderr; what was printed meanwhile."""
        sys.stderr.flush()
        os.dup2(self.saved, 2)
        os.close(self.saved)
        with self.file:
            self.file.seek(0)
            return self.file.read().decode(errors="replace").strip()


class Fuse:
    """One mount, answered in threads of libfuse from :meth:`start` on.

    :param where: a directory, or ``/dev/fd/N`` for a mount that was made already
    :param operations: the requests by name
    :param ended: called when libfuse has ended, by itself or because the directory was unmounted
    """

    def __init__(self, where: str, operations: dict[str, Callable[..., Any]], ended: Callable[[], None]) -> None:
        self.fuse = binding()
        self.where = where
        self.ended = ended
        self.mounted = False
        self.changed = threading.Event()
        mount = self

        def init(path: str) -> None:
            mount.mounted = True
            mount.changed.set()

        base = self.fuse.Operations
        methods = {name: staticmethod(function) for name, function in {**operations, "init": init}.items()}
        self.requests = type("Requests", (base,), {"use_ns": True, **methods})()
        self.thread: threading.Thread | None = None

    def start(self, **options: Any) -> str | None:
        """Mount, and go on once the kernel has taken it: None, or what libfuse says about why not."""
        directory = os.getcwd()  # libfuse goes to /
        options = {"default_permissions": True, "entry_timeout": 0, "attr_timeout": 0, "negative_timeout": 0,
                   "fsname": "hidma", "subtype": "hidma", **options}
        stderr = Stderr()
        self.thread = threading.Thread(target=self.run, args=(options,), daemon=True)
        try:
            self.thread.start()
            self.changed.wait()
        finally:
            said = stderr.end()
        os.chdir(directory)
        return None if self.mounted else said

    def run(self, options: dict[str, Any]) -> None:
        """The thread of libfuse."""
        try:
            self.fuse.FUSE(self.requests, self.where, raw_fi=True, foreground=True, **options)
        except RuntimeError:
            pass  # libfuse has said why
        self.changed.set()
        if self.mounted:
            self.ended()

    def join(self, seconds: float) -> None:
        """Wait for the end of libfuse, ``seconds`` at most: somebody may hold a file."""
        if self.thread is not None:
            self.thread.join(seconds)

    def thread_alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def context(self) -> tuple[int, int, int]:
        """(uid, gid, pid) of who asks; in a thread of libfuse."""
        found: tuple[int, int, int] = self.fuse.fuse_get_context()
        return found

    def interrupted(self) -> bool:
        """Whether who asks was interrupted meanwhile; in a thread of libfuse."""
        return bool(self.fuse._libfuse.fuse_interrupted())
