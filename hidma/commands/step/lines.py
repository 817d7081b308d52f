# SPDX-License-Identifier: GPL-2.0-only
"""The line of the port that is executed at an event, from Python's frames: compiled modules have none, so ``hidma step`` runs the
sources. It stands for no C file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import FrameType

from hidma.commands.portmap import port
from hidma.commands.portmap.series import BY_PATH, SOURCES, Function, v14


@dataclass(frozen=True)
class Location:
    """A line of the port.

    :ivar path: ``hidma/ll.py``
    :ivar line: from 1
    :ivar function: the function by its C name, "" outside of one
    """

    path: str
    line: int
    function: str

    @property
    def c(self) -> tuple[str, Function] | None:
        """The C file and the function there."""
        for source in SOURCES:
            module = port.read(source.module)
            if module is not None and module.path == self.path:
                found = v14()[source.path].function(self.function)
                if found is not None:
                    return source.path, found
        return None

    def text(self, around: int = 0) -> list[tuple[int, str]]:
        """The line and so many before and after it."""
        module = next((m for s in SOURCES if (m := port.read(s.module)) is not None and m.path == self.path), None)
        if module is None:
            return []
        first, last = max(1, self.line - around), min(len(module.lines), self.line + around)
        return [(n, module.lines[n - 1]) for n in range(first, last + 1)]


def _places() -> dict[str, port.PortModule]:
    found = {}
    for name in dict.fromkeys(source.module for source in BY_PATH.values()):
        module = port.read(name)
        if module is not None:
            found[str(port.TOP / module.path)] = module
    return found


class Frames:
    """Looks at Python's frames."""

    def __init__(self) -> None:
        self.places = _places()

    def find(self) -> Location | None:
        """The innermost line of the port that is being run in this thread."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            module = self.places.get(frame.f_code.co_filename)
            if module is not None:
                line = frame.f_lineno
                for name, place in module.functions.items():
                    if place.first <= line <= place.last:
                        return Location(module.path, line, name)
                return Location(module.path, line, "")
            frame = frame.f_back
        return None
