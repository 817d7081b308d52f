# SPDX-License-Identifier: GPL-2.0-only
"""Runs command lines under the conditions that a shell, a full disk or a signal make. Run as a program it reads a case as a line
of JSON and answers with one. A case is a process forked from this one, which has the modules already; it ends as a program does."""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: What a program's commands are given to: module, name of the click command in it.
PROGRAMS = {
    "hidma": ("hidma.commands.main", "cli"), "replay": ("hidma.commands.replay.__main__", "command"),
    "bench": ("hidma.commands.bench.cli", "command"), "fuzz": ("hidma.commands.fuzz.cli", "command"),
}
LONGEST = 60.0  # real seconds of a case


class Rig:
    """The server, from the side of a test."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, program: str, arguments: list[str], place: Path, **more: Any) -> dict[str, Any]:
        """Run a command in directory ``place``: its status, stdout and stderr, how many audit events there were, and what it left.

        :param stdout: "pipe", "closed", "full" (/dev/full) or "gone" (a pipe without a reader)
        :param environment: variables, None for one that is not there
        :param encoding: of the standard streams
        :param at: with which audit event ``signal`` comes
        :param largest: RLIMIT_FSIZE
        """
        work, temporary = place / "work", place / "tmp"
        work.mkdir(exist_ok=True)
        temporary.mkdir(exist_ok=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        case = {"program": program, "arguments": arguments, "work": str(work), "tmp": str(temporary)} | more
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        result: dict[str, Any] = json.loads(self.process.stdout.readline())
        result["left"] = sorted(path.name for path in temporary.iterdir())
        result["files"] = {str(path.relative_to(work)): path.stat().st_size for path in sorted(work.rglob("*"))}
        return result

    def close(self) -> None:
        self.process.communicate()


def child(case: dict[str, Any], out: int, err: int, counted: int) -> None:
    """Become the program of a case."""
    os.setpgid(0, 0)
    os.chdir(case["work"])
    os.environ["TMPDIR"] = case["tmp"]
    for name, value in case.get("environment", {}).items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    stdout = case.get("stdout", "pipe")
    if stdout == "full":
        out = os.open("/dev/full", os.O_WRONLY)
    elif stdout == "gone":
        reader, out = os.pipe()
        os.close(reader)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    if stdout == "closed":
        os.close(1)
    os.closerange(3, counted)
    os.closerange(counted + 1, 256)
    encoding = case.get("encoding", "utf-8")
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding=encoding)
    sys.stdout = None if stdout == "closed" else io.TextIOWrapper(open(1, "wb", closefd=False), encoding=encoding)  # type: ignore
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), encoding=encoding, errors="backslashreplace", line_buffering=True)
    if "largest" in case:
        resource.setrlimit(resource.RLIMIT_FSIZE, (case["largest"], case["largest"]))
    events, own = 0, os.getpid()

    def hook(event: str, _: Any) -> None:
        nonlocal events
        events += 1
        if events == case.get("at") and os.getpid() == own:
            os.kill(own, case["signal"])

    module, name = PROGRAMS[case["program"]]
    command = getattr(importlib.import_module(module), name)
    from hidma.commands.main import main

    sys.argv = [case["program"], *case["arguments"]]
    sys.addaudithook(hook)
    try:
        status = main(command=command, name=case["program"])
    finally:
        os.write(counted, str(events).encode())
    sys.exit(status)


def parent(pid: int, streams: dict[str, int]) -> dict[str, Any]:
    """Wait for the program of a case, and for all that has its streams."""
    found: dict[str, Any] = dict.fromkeys(streams, b"")
    end = time.monotonic() + LONGEST
    with selectors.DefaultSelector() as ready:
        for name, stream in streams.items():
            ready.register(stream, selectors.EVENT_READ, name)
        while ready.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                data = os.read(key.fd, 1 << 16)
                found[key.data] += data
                if not data:
                    ready.unregister(key.fd)
        found["hangs"] = bool(ready.get_map())
    if found["hangs"]:
        os.killpg(pid, signal.SIGKILL)
    found["status"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:  # a process that the program has left behind
        os.killpg(pid, signal.SIGKILL)
        found["left_process"] = True
    except ProcessLookupError:
        found["left_process"] = False
    return {name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in found.items()}


def serve() -> None:
    """Answer one case after the other."""
    from hidma.commands.abi import tree
    from hidma.commands.main import COMMANDS, cli

    for name in COMMANDS:
        cli.get_command(None, name)  # type: ignore[arg-type]
    for module, _ in PROGRAMS.values():
        importlib.import_module(module)
    import hidma

    hidma.boot().close()
    tree.files()  # which abi reads
    gc.freeze()  # the pages of what is there now stay shared
    for line in sys.stdin:
        pipes = {name: os.pipe() for name in ("out", "err", "events")}
        pid = os.fork()
        if not pid:
            child(json.loads(line), pipes["out"][1], pipes["err"][1], pipes["events"][1])
        for _, writer in pipes.values():
            os.close(writer)
        print(json.dumps(parent(pid, {name: reader for name, (reader, _) in pipes.items()})), flush=True)
        for reader, _ in pipes.values():
            os.close(reader)


if __name__ == "__main__":
    serve()
