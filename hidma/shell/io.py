# SPDX-License-Identifier: GPL-2.0-only
"""Where the output of a command goes: the caller's streams, the next command, or a file of the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from hidma.linux.fs import OpenFile


class WriteError(Exception):
    """A write failed.

    :ivar rc: the negative errno
    """

    def __init__(self, rc: int) -> None:
        super().__init__(rc)
        self.rc = rc


class Sink(Protocol):
    """Something to write to."""

    def write(self, data: bytes) -> None:
        """Take ``data``."""

    def flush(self) -> None:
        """Let it go where it is meant to go.

        :raises WriteError: when it cannot
        """


class Buffer:
    """A pipe, or what a substitution collects."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None:
        pass


class Stream:
    """A stream of the process that runs the shell."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, data: bytes) -> None:
        self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()


class FileSink:
    """An open file of the machine. What a command prints goes there in one write(), as long as the file takes it all.

    :param file: opened for writing
    :param call: runs something in the kernel
    """

    def __init__(self, file: OpenFile, call: Callable[[Callable[[], int]], int]) -> None:
        self.file = file
        self.call = call
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None:
        data, self.data = self.data, b""
        while data:
            part = data
            rc = self.call(lambda: self.file.write(part))  # noqa: B023  (called at once)
            if rc <= 0:
                raise WriteError(rc or -5)
            data = data[rc:]


class Input:
    """What a command reads.

    :param source: called once, for everything, when somebody begins to read
    """

    def __init__(self, source: Callable[[], bytes] = lambda: b"") -> None:
        self.source: Callable[[], bytes] | None = source
        self.data = b""

    def rest(self) -> bytes:
        """All that nobody has read yet."""
        self._fill()
        data, self.data = self.data, b""
        return data

    def line(self) -> bytes:
        """The next line with its end; empty when there is none."""
        self._fill()
        end = self.data.find(b"\n") + 1 or len(self.data)
        line, self.data = self.data[:end], self.data[end:]
        return line

    def _fill(self) -> None:
        if self.source is not None:
            source, self.source = self.source, None
            self.data = source()


@dataclass
class Io:
    """The three streams of a command."""

    stdin: Input
    out: Sink
    err: Sink

    def print(self, text: str) -> None:
        """A line of output."""
        self.out.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def complain(self, text: str) -> None:
        """A line of errors."""
        self.err.write(text.encode("utf-8", "surrogateescape") + b"\n")
        self.err.flush()
