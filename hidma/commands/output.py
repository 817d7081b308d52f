# SPDX-License-Identifier: GPL-2.0-only
"""Files that a command writes appear in one step: whole, or not at all when the disk is full, a signal comes or the command
fails. It stands for no C file.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, ENOTDIR
from pathlib import Path
from typing import Any

#: Signals that end a command.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that comes in this context has its effect at its end. In another thread than the first one, which alone handles
    signals, it does nothing."""
    came: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, _: Any) -> None:
        came.append(number)

    for number in SIGNALS if threading.current_thread() is threading.main_thread() else ():
        handler = signal.getsignal(number)
        if callable(handler):
            before[number] = handler
            try:
                signal.signal(number, note)
            except KeyboardInterrupt:  # one that came just before
                came.append(number)
                signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


class Scratch(tempfile.TemporaryDirectory[str]):
    """A private directory that is removed whatever signals come meanwhile."""

    def cleanup(self) -> None:
        with undisturbed():
            super().cleanup()


def beside(path: Path) -> Path:
    """A hidden name in the directory of ``path`` that nobody can foretell."""
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")


def write_file(path: str | os.PathLike[str], content: str | bytes | bytearray) -> None:
    """Write a file in one step. A link stays one, and what is no file (a FIFO, /dev/stdout) is written to.

    :raises OSError: it cannot be written; what was there is there still
    """
    data = content.encode() if isinstance(content, str) else content
    if os.path.exists(path) and not os.path.isfile(path):
        Path(path).write_bytes(data)
        return
    target = Path(os.path.realpath(path))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), str(path))
    made = beside(target)
    try:
        with open(made, "xb") as file:
            file.write(data)
        if target.exists():
            shutil.copymode(target, made)
        os.replace(made, target)
    except BaseException as error:
        with undisturbed(), suppress(OSError):
            made.unlink()
        if isinstance(error, OSError):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


@contextmanager
def output_directory(out: Path) -> Iterator[Path]:
    """A directory to write into, whose files are in ``out`` at the end: all in one step if that is new or empty, else one after the
    other, each in one step. A link in ``out`` is replaced and never followed, so that nothing is written elsewhere.

    :raises OSError: it cannot be written
    """
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(out)) from None
    made = beside(out)
    made.mkdir()
    try:
        yield made
        if not out.is_symlink() and (not out.exists() or not any(out.iterdir())):
            os.replace(made, out)
            return
        for path in sorted(made.rglob("*")):
            place = out / path.relative_to(made)
            if path.is_dir():
                if place.is_symlink():
                    place.unlink()
                place.mkdir(exist_ok=True)
            else:
                os.replace(path, place)
    finally:
        with undisturbed():
            shutil.rmtree(made, ignore_errors=True)
