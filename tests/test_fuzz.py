# SPDX-License-Identifier: GPL-2.0-only
"""tools/fuzz: inputs that were found give no fault any more, and a fault is found, written down and run again."""

from __future__ import annotations

import importlib.util
import json
import random
import tempfile
from pathlib import Path

import pytest

from hidma.commands.fuzz import cli, targets
from hidma.commands.fuzz.cli import command
from hidma.commands.fuzz.targets import TARGETS
from hidma.commands.main import main

FOUND = sorted((Path(__file__).parent / "data" / "fuzz").glob("*/*"))
SOURCE = {"patch"}  # needs the extra `source`


@pytest.mark.slow
@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_input_that_was_found_is_no_fault(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_its_seeds_and_what_is_near_them(name: str) -> None:
    target = TARGETS[name]
    seeds = [data for data in target.inputs() if len(data) <= target.longest]
    assert seeds
    generator = random.Random(name)
    for number in range(30):
        data = bytearray(generator.choice(seeds))
        if target.change is not None and number % 2:
            data = bytearray(target.change(bytes(data), number))
        else:
            for _ in range(generator.randint(0, 4)):
                data[generator.randrange(len(data))] = generator.choice((0, 10, 32, 255, generator.randrange(256)))
        target.run(bytes(data))


def test_targets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], command, "fuzz") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*TARGETS]
    assert main(["nosuch"], command, "fuzz") == 2
    assert "there is no target 'nosuch'; there are fdt, " in capsys.readouterr().err


def test_saved_input_is_run_again_without_atheris(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([FOUND[0].parent.name, str(FOUND[0])], command, "fuzz") == 0
    assert capsys.readouterr().out == f"{FOUND[0]}: no fault\n"


def test_command_line_that_says_nothing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hidma.commands.main.main", lambda words: 2)
    with pytest.raises(AssertionError, match="exit status 2, and on stderr ''"):
        targets.cmdline(b"dmesg")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris, the extra fuzz")
def test_faults_are_written_down_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    """The worker process of a target with three faults: an exception, a hang and an end of the process."""
    (tmp_path / "sitecustomize.py").write_text("""
import os
from hidma.commands.fuzz import targets, worker
real = targets.abi
def abi(data):
    real(data)
    if data[:1] == b"W": raise ValueError("no entry")
    if data[:1] == b"T":
        while True: pass
    if len(data) > 300: os.abort()
targets.TARGETS["abi"] = targets.Target(abi, targets.TARGETS["abi"].seeds)
worker.LONGEST = 1
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert main(["abi", "--seconds", "6", "--json", "--crashes", str(tmp_path / "found")], command, "fuzz") == 1
    out, err = capsys.readouterr()
    assert not any(temporary.iterdir())
    result = json.loads(out)
    assert result["target"] == "abi" and result["runs"] > 10 and result["features"] > 0
    texts = [Path(path).with_suffix(".txt").read_text() for path in result["crashes"]]
    assert any("ValueError: no entry" in text for text in texts)
    assert all(cli.again("abi", Path(path)) in text and cli.again("abi", Path(path)) in err
               for path, text in zip(result["crashes"], texts, strict=True))
