# SPDX-License-Identifier: GPL-2.0-only
"""The line of the port that is executed at an event: from Python's frames when the modules run interpreted. Compiled modules have
no frames; the same run, interpreted in another process, has the same events and gives their lines one by one on request. It stands
for no C file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from hidma.commands.portmap import port
from hidma.commands.portmap.series import BY_PATH, SOURCES, Function, v14
from hidma.machine import _mode


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


class Locator:
    """Tells the line of event ``number``.

    :param words: the job, for another process to run
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.frames = None if _mode.compiled() else Frames()
        self.process: subprocess.Popen[str] | None = None
        self.known: list[Location | None] = []

    def here(self, number: int) -> Location | None:
        """At this moment, event ``number`` happens."""
        return self.frames.find() if self.frames is not None else self._told(number)

    def again(self) -> None:
        """The run begins anew; what is known stays true."""

    def _told(self, number: int) -> Location | None:
        if self.process is None:
            environment = dict(os.environ, HIDMA_INTERPRETED="1")
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(port.TOP), environment.get("PYTHONPATH", "")]))
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hidma.commands.step.lines", *self.words], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        assert self.process.stdout is not None
        while len(self.known) < number:
            row = self.process.stdout.readline()
            if not row:
                return None
            found = json.loads(row)
            self.known.append(Location(*found) if found else None)
        return self.known[number - 1]

    def close(self) -> None:
        """The other process is not needed any more."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()


def main(words: Sequence[str]) -> int:
    """Run a job and print where the port is at each event, a line of JSON each: ``python -m hidma.commands.step.lines``."""
    import contextlib
    import importlib
    import io

    from hidma.commands.trace.events import Event
    from hidma.commands.trace.recorder import Recorder
    from hidma.commands.trace.run import runner

    root = importlib.import_module("hidma.commands.main").cli  # it is above this module, and this is a program
    frames = Frames()
    out = sys.stdout

    def happened(event: Event) -> None:
        found = frames.find()
        out.write("null\n" if found is None else json.dumps([found.path, found.line, found.function]) + "\n")

    job = runner(root, words, words)
    nowhere = io.StringIO()
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), Recorder() as recorder:
            recorder.follow(happened)
            job()
    except BrokenPipeError:
        os._exit(0)
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
