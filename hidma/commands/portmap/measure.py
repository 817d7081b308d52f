# SPDX-License-Identifier: GPL-2.0-only
"""Measures which recorded runs pass through which functions of the port, and which lines they reach. ``python -m
hidma.commands.portmap.measure DIRECTORY...`` replays every recording there, interpreted, and writes ``runs.json``, which the map
shows; a test measures again and compares. It stands for no C file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from coverage import Coverage

from hidma.commands.output import write_file
from hidma.commands.portmap import port
from hidma.commands.portmap.series import SOURCES
from hidma.machine import _mode

RESULT = Path(__file__).with_name("runs.json")


def _code_lines(code: CodeType) -> set[int]:
    lines = {line for _, _, line in code.co_lines() if line}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            lines |= _code_lines(constant)
    return lines


@cache
def executable(path: str) -> frozenset[int]:
    """Lines of a source file that can be reached."""
    return frozenset(_code_lines(compile(Path(path).read_text(encoding="utf-8"), path, "exec")))


def recordings(directories: Iterable[str | Path]) -> list[Path]:
    """The recordings in directories, in order of their names."""
    return sorted((path for directory in directories for path in Path(directory).glob("*.json")), key=lambda p: p.name)


def measure(directories: Iterable[str | Path]) -> dict[str, Any]:
    """Replay every recording whose layer the port has.

    :returns: as in ``runs.json``: ``runs``, names of the recordings; ``functions``, by C file and C name: ``digest`` of
        the lines, how many of them are code, those ``missed`` (from 0 at the first line), and numbers of the ``runs``
    """
    modules = {str(port.TOP / module.path): module for source in SOURCES if (module := port.read(source.module)) is not None}
    functions = [(source, name, place, str(port.TOP / place.path)) for source in SOURCES
                 if (module := port.read(source.module)) is not None for name, place in module.functions.items()
                 if _is_c(source.path, name)]
    coverage = Coverage(data_file=None, config_file=False, include=list(modules), concurrency="greenlet")
    coverage.start()  # the macros of C are functions that are called while the port is imported
    names: list[str] = []
    try:
        from hidma.commands.replay.layers import PLAYERS, replay
        from hidma.commands.replay.runner import load

        for path in recordings(directories):
            scenario = load(path)
            if scenario.scenario.get("layer") in PLAYERS:
                names.append(path.stem if path.parent.name != "quirks" else f"quirks/{path.stem}")
                coverage.switch_context(names[-1])
                replay(scenario)
    finally:
        coverage.stop()
    reached = {path: coverage.get_data().contexts_by_lineno(path) for path in modules}
    numbers = {name: number for number, name in enumerate(names)}
    found: dict[str, Any] = {}
    for source, name, place, file in functions:
        module = port.read(source.module)
        assert module is not None
        code = {line for line in executable(file) if place.first < line <= place.last}
        found.setdefault(source.path, {})[name] = {
            "digest": module.digest(place),
            "code": len(code),
            "missed": sorted(line - place.first for line in code if line not in reached[file]),
            "runs": sorted({numbers[run] for line in range(place.first + 1, place.last + 1)
                            for run in reached[file].get(line, ()) if run}),
        }
    return {"runs": names, "functions": found}


def _is_c(path: str, name: str) -> bool:
    from hidma.commands.portmap.series import v14

    file = v14()[path]
    return file.function(name) is not None or name in file.macros


def text(measured: dict[str, Any]) -> str:
    """``runs.json``: one line for each function."""
    lines = ["{", f' "runs": {json.dumps(measured["runs"])},', ' "functions": {']
    files = list(measured["functions"].items())
    for number, (path, functions) in enumerate(files):
        each = [f"   {json.dumps(name)}: {json.dumps(facts)}" for name, facts in functions.items()]
        lines += [f"  {json.dumps(path)}: {{", ",\n".join(each), "  }" + ("," if number + 1 < len(files) else "")]
    return "\n".join([*lines, " }", "}"]) + "\n"


def main(arguments: list[str]) -> int:
    """``python -m hidma.commands.portmap.measure DIRECTORY...``"""
    if not arguments:
        print("measure: name the directories of recordings, such as tests/data/golden tests/data/quirks", file=sys.stderr)
        return 2
    if not _mode.asked and _mode.compiled():
        # lines of compiled modules are not seen
        os.environ["HIDMA_INTERPRETED"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    missing = [name for name in arguments if not recordings([name])]
    if missing:
        print(f"measure: {missing[0]} holds no recording (*.json)", file=sys.stderr)
        return 2
    write_file(RESULT, text(measure(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
