# SPDX-License-Identifier: GPL-2.0-only
"""Where the output of a command goes: the caller's streams, the next command, or a file of the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from hidma.linux.errno import EIO
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
    """An open file of the machine. What a command prints goes there in one write(), as long as the file takes it all;
    what bash itself prints goes there line by line, since that is how its output is buffered.

    :param file: opened for writing
    :param call: runs something in the kernel
    """

    def __init__(self, file: OpenFile, call: Callable[[Callable[[], int]], int]) -> None:
        self.file = file
        self.call = call
        self.data = b""
        self.lines = False

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None:
        """Write everything; a line that is refused does not keep the next ones back.

        :raises WriteError: the first errno
        """
        data, self.data = self.data, b""
        failed = 0
        for piece in data.splitlines(keepends=True) if self.lines and b"\r" not in data else [data]:
            while piece:
                rc = self.call(lambda: self.file.write(piece))  # noqa: B023  (called at once)
                if rc <= 0:
                    failed = failed or rc or -EIO
                    break
                piece = piece[rc:]
        if failed:
            raise WriteError(failed)


class Input:
    """What a command reads.

    :param source: gives the next piece, and nothing at the end; asked when somebody reads on
    """

    def __init__(self, source: Callable[[], bytes] = lambda: b"") -> None:
        self.source = source
        self.data = b""

    def rest(self) -> bytes:
        """All that nobody has read yet, up to the end."""
        while piece := self.source():
            self.data += piece
        data, self.data = self.data, b""
        return data

    def piece(self) -> bytes:
        """What is there, at least something; empty at the end. Of a terminal, a line."""
        data, self.data = self.data, b""
        return data or self.source()

    def line(self) -> bytes:
        """The next line with its end; empty when there is none."""
        while b"\n" not in self.data and (piece := self.source()):
            self.data += piece
        end = self.data.find(b"\n") + 1 or len(self.data)
        line, self.data = self.data[:end], self.data[end:]
        return line


def given(data: bytes) -> Input:
    """An input that is there already."""
    pieces = [data]
    return Input(lambda: pieces.pop() if pieces else b"")


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
