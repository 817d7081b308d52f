# SPDX-License-Identifier: GPL-2.0-only
"""What is fuzzed: a target takes bytes, and only the exceptions that its reader documents may occur in it; any other that
comes out is a fault. Nothing here needs atheris, so that a test can feed the inputs that were found. It stands for no C file.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution
from pathlib import Path
from random import Random
from typing import Any

import click

from hidma.commands.output import Scratch

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "tests" / "data"
#: Commands that do a bounded amount of work and write no file; of the others only the arguments are read.
RUN = (["dmesg"], ["boards"], ["faults"], ["info"], ["abi", "list"], ["abi", "show"], ["reset-plugins", "list"])


@cache
def directory() -> Scratch:
    """A directory for what a reader takes as a file; it is removed when the process ends."""
    return Scratch(prefix="hidma-fuzz-")


def file(name: str, data: bytes) -> Path:
    path = Path(directory().name, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def board(data: bytes, name: str) -> None:
    """Read a board, describe it, and boot what could be described."""
    from hidma import KernelOops, boot, firmware

    with suppress(firmware.FirmwareError):
        read = firmware.parse(data, name)
        firmware.check(read)
        firmware.describe(read)
        with suppress(KernelOops), boot(str(file(name, data))):
            pass


def fdt(data: bytes) -> None:
    """A device tree blob."""
    board(data, "board.dtb")


def aml(data: bytes) -> None:
    """ACPI tables."""
    board(data, "board.aml")


def abi(data: bytes) -> None:
    """A file in the format of Documentation/ABI."""
    from hidma.commands.abi import entries, texts

    path = file("abi/entries", data)
    for strict in (False, True):
        for problem in entries.validate([path], strict):
            str(problem)
    for doc in texts.from_directory(path.parent):
        entries.render(doc)
        for what in doc.what:
            entries.matches(what, "/sys/devices/platform/QCOM8060:00/chanops/chan0/weight")


def patch(data: bytes) -> None:
    """A patch, or an mbox of patches."""
    from hidma.commands.portmap.compare import compare
    from hidma.commands.portmap.tree import TreeError, from_patch

    with suppress(TreeError):
        compare(from_patch(file("series.patch", data)))


def scenario(data: bytes) -> None:
    """A recorded scenario."""
    from hidma.commands.replay.device import ScenarioError
    from hidma.commands.replay.layers import replay
    from hidma.commands.replay.runner import compare, load

    with suppress(ScenarioError):
        read = load(file("scenario.json", data))
        compare(read, replay(read))


def plugin(data: bytes) -> None:
    """The metadata of a reset plugin: a project's pyproject.toml, a distribution's files, and a module that is not imported."""
    from hidma.plugin import sources

    found = []
    with suppress(sources.PluginError):
        found += sources.of_path(file("project/pyproject.toml", data).parent)
    file("plugin-1.dist-info/METADATA", data)
    installed = Distribution.at(file("plugin-1.dist-info/entry_points.txt", data).parent)
    found += sources.found_now([installed])[0]
    file("plugin-1.dist-info/METADATA", b"Name: plugin\nVersion: 1\n")
    found += sources.found_now([installed])[0]
    found.append(sources.of_file(file("module.py", data), "module"))
    for source in found:
        sources.hooks_of(source)
        source.called(f"{source} {source.module_name} {source.version}")


def cmdline(data: bytes) -> None:
    """A command line, one argument a line."""
    from hidma.commands.main import cli, main
    from hidma.machine import _mode
    from hidma.plugin import sources

    words = data.decode("utf-8", "surrogateescape").split("\n")
    if any("\0" in word or len(word) > 4096 for word in words) or any(word.startswith("--plugin") for word in words):
        return  # no process has such arguments; and a plugin is code, which would run here
    kept, asked = dict(os.environ), _mode.asked
    out, err = io.StringIO(), io.StringIO()
    _mode.asked = True  # --interpreted starts no other process
    with chdir(directory().name), redirect_stdout(out), redirect_stderr(err):
        try:
            if any(words[:len(run)] == run for run in RUN):
                status: Any = main(words)
            else:
                status = arguments(cli, words)
        except SystemExit as end:
            status = end.code
        finally:
            _mode.asked = asked
            os.environ.clear()
            os.environ.update(kept)
            sources.choice.disabled.clear()
    if status not in (0, 1, 2) or status == 2 and not err.getvalue():
        raise AssertionError(f"exit status {status!r}, and on stderr {err.getvalue()!r}")


def arguments(command: click.Command, words: list[str]) -> int:
    """Read the arguments of a command, and run nothing."""
    try:
        context = command.make_context("hidma", list(words), obj=list(words))
        while isinstance(context.command, click.Group) and (left := [*context._protected_args, *context.args]):
            name, below, rest = context.command.resolve_command(context, left)
            if below is None:
                break
            context = below.make_context(name, rest, parent=context)
    except click.ClickException as error:
        error.format_message()
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0


def command_words(command: click.Command, name: str = "") -> Iterator[list[str]]:
    """Command lines: each command, and each of its options."""
    context = click.Context(command)
    own = [name] if name else []
    yield own
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("plugins", "out", "output"):
            yield [*own, parameter.opts[-1], *([] if parameter.is_flag else [str(parameter.default or "1")])]
    for below in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, below)  # type: ignore[attr-defined]
        if found is not None:
            yield from ([*own, *words] for words in command_words(found, below))


def command_lines() -> Iterator[bytes]:
    """Seeds of :func:`cmdline`: every option of every command, and the faults."""
    from hidma.commands.main import cli
    from hidma.hw.faults import KINDS

    yield from ("\n".join(words).encode() for words in command_words(cli))
    yield from (f"dmesg\n--fault\n{kind.example}@chan0".encode() for kind in KINDS)


def scenarios() -> Iterator[bytes]:
    """Seeds of :func:`scenario`: the recorded ones without what they recorded."""
    for path in sorted([*(DATA / "golden").glob("*.json"), *(DATA / "quirks").glob("*.json")]):
        yield json.dumps({"scenario": json.loads(path.read_bytes())["scenario"]}, separators=(",", ":")).encode()


def changed_scenario(data: bytes, seed: int) -> bytes:
    """Another scenario: JSON with some of its values replaced, moved or left out; ValueError for what is no JSON."""
    random, root = Random(seed), [json.loads(data)]
    places: list[tuple[Any, Any]] = []
    values: list[Any] = [None, True, -1, 0, 1, 63, 1 << 31, 1 << 32, (1 << 64) - 1, 1 << 64, 0.5, 1e300, "", "0x1000", [], {}]

    def walk(value: Any) -> None:
        if isinstance(value, dict | list):
            for key, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
                places.append((value, key))
                walk(below)

    walk(root)
    for _ in range(random.randint(1, 4)):
        (there, key), (other, from_key) = random.choice(places), random.choice(places)
        with suppress(LookupError):  # an earlier change has taken it away
            value = random.choice((random.choice(values), deepcopy(other[from_key])))
            if there is root or random.random() < 0.5:
                there[key] = value
            elif isinstance(there, list) and random.random() < 0.5:
                there.insert(key, value)
            else:
                del there[key]
    return json.dumps(root[0], separators=(",", ":")).encode()


def metadata() -> Iterator[bytes]:
    """Seeds of :func:`plugin`."""
    from hidma.plugin.hookspecs import ENTRY_POINT_GROUP, MODEL_GROUP

    yield from (path.read_bytes() for path in (ROOT / "docs" / "examples").rglob("pyproject.toml"))
    yield f"[{ENTRY_POINT_GROUP}]\nacme,one = acme.reset:plugin [x]\n[{MODEL_GROUP}]\nACME0001 = acme".encode()
    yield f"Name: acme\nVersion: 1.0\n\n[project.entry-points.\"{ENTRY_POINT_GROUP}\"]\n'acme,one' = 'acme.reset'".encode()
    yield b"import hidma\n@hidma.hookimpl\ndef hidma_reset(vdev):\n    return 0\n"


@dataclass(frozen=True)
class Target:
    """One target.

    :ivar seeds: patterns of files below tests/data or hidma/boards, or what makes the inputs to begin with
    :ivar longest: bytes of an input
    :ivar change: makes another input of one, as a seed says; it knows the format, which libFuzzer does not
    """

    run: Callable[[bytes], None]
    seeds: tuple[str, ...] | Callable[[], Iterator[bytes]]
    longest: int = 16384
    change: Callable[[bytes, int], bytes] | None = None

    def inputs(self) -> Iterator[bytes]:
        """The inputs to begin with: seeds, and those that were found before."""
        if callable(self.seeds):
            yield from self.seeds()
        for pattern in (*(() if callable(self.seeds) else self.seeds), f"fuzz/{self.run.__name__}/*"):
            for place in (DATA, ROOT / "hidma" / "boards"):
                yield from (path.read_bytes() for path in sorted(place.glob(pattern)) if path.is_file())


TARGETS = {target.run.__name__: target for target in (
    Target(fdt, ("*.dtb", "firmware/*.dtb")),
    Target(aml, ("*.aml", "firmware/*.aml")),
    Target(abi, ("cases/*abi*", "abi_project/abi/*")),
    Target(patch, ("cases/*.patch",)),
    Target(scenario, scenarios, 4096, changed_scenario),
    Target(plugin, metadata),
    Target(cmdline, command_lines, 1024),
)}
