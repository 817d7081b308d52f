# SPDX-License-Identifier: GPL-2.0-only
"""The scripts in tools/, from outside: a fresh copy of the checkout, in an environment that is hostile to pip and Python."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("HIDMA_", "PYTHON"))}
# none of these must reach pip or the Python of the environment; HIDMA_PURE leaves the compiler out of it
HOSTILE = {"PYTHONHOME": "/nowhere", "PYTHONWARNINGS": "error", "PIP_TARGET": "/nowhere", "PIP_USER": "1", "PIP_DRY_RUN": "1"}
ENV = CLEAN | HOSTILE | {"HIDMA_PURE": "1"}

Start = Callable[..., subprocess.CompletedProcess[str]]


def copy(where: Path) -> Path:
    """The files of this checkout that git knows or would add."""
    done = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, done.stdout.split("\0")):
        if not name.startswith(("docs/", "tests/")) and (ROOT / name).is_file():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, where / name)
    return where


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy after its first start, which ran with a variable environment hostile to pip."""
    root = copy(tmp_path_factory.mktemp("tools") / "check out")
    first = subprocess.run([root / "tools" / "hidma", "boards"], env=ENV, capture_output=True, text=True)
    if first.returncode and "no package index can be reached" in first.stderr:
        pytest.skip("the packages cannot be fetched: no package index can be reached")
    assert first.returncode == 0, first.stderr
    assert [line.partition(":")[0] for line in first.stderr.splitlines()] == ["hidma"] * 3, first.stderr
    assert first.stdout.startswith("host: ")
    return root


@pytest.fixture
def start(checkout: Path, tmp_path: Path) -> Start:
    """Run a script of that copy from another directory, by a link."""
    (tmp_path / "link").symlink_to(checkout / "tools")
    (tmp_path / "click.py").write_text("raise SystemExit('imported from the working directory')\n")

    def run(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "link" / program), *arguments]
        return subprocess.run(command, env=ENV | variables, cwd=tmp_path, capture_output=True, text=True)

    return run


pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_a_second_start_says_nothing(start: Start, checkout: Path) -> None:
    before = (checkout / ".venv" / "hidma.json").stat().st_mtime_ns
    done = start("hidma", "--version")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("hidma ")
    assert (checkout / ".venv" / "hidma.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["setup.py", "hidma/ll.py", "hidma/ll.pxd"])
def test_a_changed_build_input_is_built(start: Start, checkout: Path, name: str) -> None:
    path = checkout / name
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9))  # older than before: a change all the same
    assert start("hidma", "--version").stderr.strip().endswith("HIDMA_PURE is set")
    assert start("hidma", "--version").stderr == ""


def test_other_flags_are_built_and_a_plain_source_is_not(start: Start, checkout: Path) -> None:
    assert start("hidma", "--version", CFLAGS="-O1").stderr.strip().endswith("HIDMA_PURE is set")
    assert start("hidma", "--version").stderr.strip().endswith("HIDMA_PURE is set")
    (checkout / "hidma" / "commands" / "main.py").touch()
    assert start("hidma", "--version").stderr == ""


SCRIPT = """import hidma
with hidma.boot() as machine:
    chan = machine.dma.request_channel()
    chan.memcpy(machine.alloc(64), machine.alloc(64)).wait()
"""


def test_an_extra_is_installed_when_a_command_needs_it(start: Start, checkout: Path, tmp_path: Path) -> None:
    script, waves = tmp_path / "one.py", tmp_path / "x.vcd"
    script.write_text(SCRIPT)
    command = ("trace", "--format", "vcd", "-o", str(waves), "--", str(script))
    python = [checkout / ".venv" / "bin" / "python", "-P", "-m", "hidma", *command]
    plain = subprocess.run(python, env=CLEAN, cwd=tmp_path, capture_output=True, text=True)
    assert plain.returncode == 2
    assert plain.stderr == f"hidma: this needs the Python module vcd: pip install -e '{checkout}[trace]'\n"
    # offline: one sentence, and what worked before goes on working
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(tmp_path)}
    without = start("hidma", *command, **offline)
    assert without.returncode == 1
    assert without.stderr.splitlines()[-1].startswith("hidma: the installation failed: ")
    assert start("hidma", "boards").stderr == ""
    done = start("hidma", *command)
    assert done.returncode == 0 and "hidma: installing hidma[trace]\n" in done.stderr
    assert waves.read_text().startswith("$")
    assert start("hidma", *command).stderr.count("hidma: ") == 0


def test_a_start_waits_for_another_one_that_sets_up(start: Start, checkout: Path) -> None:
    (checkout / "setup.py").touch()
    with open(checkout / "build" / "setup.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results: list[subprocess.CompletedProcess[str]] = []
        threads = [threading.Thread(target=lambda: results.append(start("hidma", "--version"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        threads[0].join(0.5)
        assert not results
    for thread in threads:
        thread.join()
    assert [done.returncode for done in results] == [0, 0]
    assert sum("HIDMA_PURE is set" in done.stderr for done in results) == 1, "one builds, the other finds it done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_installation_is_done_again(start: Start, checkout: Path, tmp_path: Path, number: int) -> None:
    """Ctrl-C reaches pip too; where this process alone is killed, what it has started goes on, and the next start waits for it."""
    when = "hidma: installing" if number == signal.SIGINT else "hidma: first start"
    shutil.rmtree(checkout / ".venv")
    command = [str(tmp_path / "link" / "hidma"), "--version"]
    with subprocess.Popen(
        command, env=ENV, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it for jobs in the background
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(when):
                (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    if number == signal.SIGINT:
        assert process.returncode == 130 and lines[-1] == "hidma: stopped; the next start goes on from here\n"
        assert "installing" in json.loads((checkout / ".venv" / "hidma.json").read_text())
    again = start("hidma", "--version")
    assert again.returncode == 0 and "first start: making a private environment" in again.stderr


def test_a_checkout_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    root = copy(tmp_path / "checkout")
    (root / "build").write_text("in the way")
    done = subprocess.run([root / "tools" / "hidma"], env=ENV, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"hidma: cannot set up {root}: ")


def test_a_python_without_venv_is_one_sentence(tmp_path: Path) -> None:
    root = copy(tmp_path / "checkout")
    code = (
        "import sys, runpy; sys.modules['ensurepip'] = None; sys.argv[1:] = ['hidma']\n"
        f"runpy.run_path({str(root / 'tools' / '_env.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith(" has no module ensurepip: apt-get install python3-venv\n")
    assert done.stderr.count("\n") == 1


def test_a_python_that_is_too_old_is_one_sentence(tmp_path: Path) -> None:
    root = copy(tmp_path / "check out")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dirname", "readlink"):
        (programs / name).symlink_to(str(shutil.which(name)))
    old = programs / "python3"
    old.write_text('#!/bin/sh\ncase "$*" in --version) echo Python 3.9.2;; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = subprocess.run([root / "tools" / "hidma"], env={"PATH": str(programs)}, cwd="/", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("hidma: needs Python 3.11 or newer, and here is Python 3.9.2: apt-get install ")
    assert done.stderr.count("\n") == 1
