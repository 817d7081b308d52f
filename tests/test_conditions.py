# SPDX-License-Identifier: GPL-2.0-only
"""Every command of ``hidma``, and every program of tools/, under what a shell, a full disk or a signal makes of it: an exit status
and a sentence, never a traceback, nothing half-written, nothing left behind."""

from __future__ import annotations

import errno
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from command_rig import PROGRAMS, Rig

ROOT = Path(__file__).resolve().parent.parent
RUN = str(ROOT / "tests" / "data" / "golden" / "ll_init_chidx_0.json")
#: What a command is given; one that does not stand here is run without arguments.
ARGUMENTS = {
    "hidma dmatest": ["--iterations", "1"], "hidma shell": ["--simple", "-c", "dmesg"], "hidma mount": ["DIR", "--", "true"],
    "hidma ctl": ["dmesg"], "hidma qos": ["--time", "1ms", "--plot", "OUT"], "hidma abi check": ["/proc/version"],
    "hidma abi generate": ["-o", "OUT"], "hidma abi search": ["weight"], "hidma abi show": ["weight"],
    "hidma reset-plugins check": ["calxeda,hb-xgmac"], "hidma reset-plugins explain": ["hidma.0"],
    "hidma reset-plugins new": ["acme", "--compatible", "acme,one", "--directory", "OUT"],
    "hidma qemu shell": ["-c", "true"], "hidma trace": ["-o", "OUT", "--", RUN], "hidma step": ["--plain", "--", RUN],
    "hidma sidebyside": ["--kernel", "nosuch", "-o", "OUT"], "replay": [RUN],
}
#: Commands that would fetch packages or compile something: without a PATH they say what is not there.
NO_PATH = ("hidma qemu", "bench")


def commands(command: click.Command, name: str) -> Iterator[str]:
    """The commands below one."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, f"{name} {below}")
    else:
        yield name


EVERY = [each for name, (module, attribute) in PROGRAMS.items()
         for each in commands(getattr(importlib.import_module(module), attribute), name)]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def test_every_program_of_tools_is_tried() -> None:
    """Those that are other projects' programs, pytest and Sphinx, left out."""
    assert {path.name for path in (ROOT / "tools").iterdir() if not path.name.startswith("_") and path.is_file()} == {
        *PROGRAMS, "test", "docs"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_command_ends_well(name: str, rig: Rig, tmp_path: Path) -> None:
    program, *words = name.split()
    given = ARGUMENTS.get(name, [])
    found: dict[str, Any] = {}
    environment = {"PATH": "/nonexistent"} if name.startswith(NO_PATH) else {}

    def run(what: str, statuses: set[int], **more: Any) -> dict[str, Any]:
        place = tmp_path / what.replace(" ", "-")
        (place / "work" / "DIR").mkdir(parents=True)
        more["environment"] = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)} | environment | more.get(
            "environment", {})
        result = rig(program, [*words, *given], place, **more)
        result["files"].pop("DIR")
        said = f"{what}: {result}"
        assert result["status"] in statuses, said
        assert not re.search("Traceback|Exception ignored|Fatal", result["err"]), said
        assert not (result["hangs"] or result["left"] or result["left_process"]), said
        assert result["status"] in (0, 1, 141) or result["err"], said
        # an output is whole or not there
        for file, size in result["files"].items():
            assert found and size == found["files"].get(file) or not found, said
        return result

    found |= run("plain", {0, 1, 2})
    plain = found["status"]
    same = {plain}
    run("no such HOME, ASCII", same, encoding="ascii", environment={"HOME": "/nonexistent/home", "LC_ALL": "C"})
    unwritten = {2} if found["out"] else same
    for what in ("closed", "full"):
        result = run(f"stdout {what}", unwritten, stdout=what, environment={"HOME": None} if what == "closed" else {})
        if found["out"]:
            code = errno.EBADF if what == "closed" else errno.ENOSPC
            assert result["err"].endswith(f"{program}: standard output: {os.strerror(code)}\n"), result
    run("reader gone", {141} if found["out"] else same, stdout="gone")
    count = int(found["events"] or 0)  # none where the command starts the interpreter again
    for number, at in ((signal.SIGINT, count // 2), (signal.SIGTERM, count * 4 // 5)):
        if at:
            run(number.name, same | {128 + number}, at=at, signal=number)
    if "OUT" in given:
        result = run("disk full", {2}, largest=1)
        assert not result["files"] or plain, result
        given = ["/proc/self/OUT" if word == "OUT" else word for word in given]
        run("place read-only", {2})


@pytest.mark.parametrize(("redirection", "status"), [(">&-", 2), ("> /dev/full", 2), ("| true", 141), ("2>&-", 0), ("<&-", 0)])
def test_shell_redirects_a_real_process(redirection: str, status: int) -> None:
    """The rig forks; here the interpreter begins with the streams."""
    command = f"set -o pipefail; {sys.executable} -P -m hidma abi list {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == status
    assert done.stderr.count("\n") == (status == 2) and "Traceback" not in done.stderr
