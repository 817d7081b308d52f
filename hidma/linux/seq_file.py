# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/seq_file.h>``: files whose text is made in one go when they are opened for reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class SeqFile:
    """``struct seq_file``: ``private`` is what the file was made with."""

    def __init__(self, private: Any) -> None:
        self.private = private
        self.text: list[str] = []
        self.show: Callable[[SeqFile, Any], int] | None = None


@dataclass(frozen=True)
class FileOperations:
    """``struct file_operations``: ``open`` gets the file, and calls :func:`single_open`."""

    open: Callable[[SeqFile], int]


def single_open(file: SeqFile, show: Callable[[SeqFile, Any], int], data: Any) -> int:
    """The text of ``file`` is what ``show`` prints."""
    file.private = data
    file.show = show
    return 0


def seq_printf(s: SeqFile, text: str) -> None:
    """Add ``text``."""
    s.text.append(text)


seq_puts = seq_printf


def seq_read(fops: FileOperations, private: Any) -> str | int:
    """The whole text of a file with ``fops``; a negative errno when it cannot be read."""
    s = SeqFile(private)
    rc = fops.open(s)
    if rc == 0 and s.show is not None:
        rc = s.show(s, None)
    return rc if rc < 0 else "".join(s.text)
