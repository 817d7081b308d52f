# SPDX-License-Identifier: GPL-2.0-only
"""Keeps the private environment of a checkout, `.venv`, and runs a program in it: `_env.py PROGRAM ARGS`.

Called by the scripts beside it, through _env.sh. It makes the environment, installs what pyproject.toml asks for,
builds the extension modules in place and then becomes the program. When all is as it was, that costs a look at the
times and sizes of the sources and nothing else. It imports the standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAGING = ROOT / "tools" / "staging"
STATE = VENV / "hidma.json"
PYTHON = VENV / "bin" / "python"
LOG = ROOT / "build" / "setup.log"

#: What of pyproject.toml a program needs beside the dependencies: build requirements always, extras as listed.
EXTRAS: dict[str, list[str]] = {"hidma": ["fuse"], "replay": [], "bench": [], "docs": ["docs"], "test": ["test"]}

#: The module behind a program, where it is not pytest or Sphinx.
PROGRAMS = {"hidma": "hidma", "replay": "hidma.commands.replay", "bench": "hidma.commands.bench.cli"}


def say(text: str) -> None:
    print(f"hidma: {text}", file=sys.stderr, flush=True)


def stop(text: str) -> NoReturn:
    say(text)
    sys.exit(1)


# --- what is there ----------------------------------------------------------------------------------------------------


def identity() -> dict[str, str]:
    """What an environment is bound to: another checkout or another Python needs a new one."""
    return {"root": str(ROOT), "python": sys.version, "base": sys.base_prefix}


def read_state() -> dict[str, Any]:
    """What the environment was when it was last put in order; empty when there is none, or none of this place."""
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(state, dict) or state.get("identity") != identity():
        return {}
    return state


def write_state(state: dict[str, Any]) -> None:
    part = STATE.with_suffix(".part")
    part.write_text(json.dumps(state, indent=1), encoding="utf-8")
    os.replace(part, STATE)


def _files(top: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(top) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__" and not entry.name.startswith("."):
                    yield from _files(Path(entry.path))
            elif entry.name.endswith((".py", ".pxd", ".h", ".so")):
                yield entry


def fingerprint(suffixes: tuple[str, ...]) -> str:
    """A hash of names, times and sizes of the files that the build reads, or that it makes."""
    lines = []
    for entry in _files(ROOT / "hidma"):
        if entry.name.endswith(suffixes):
            stat = entry.stat()
            lines.append(f"{entry.path} {stat.st_mtime_ns} {stat.st_size}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def build_input() -> str:
    """A hash of all that a build reads: sources, build files, and what the caller asks for."""
    parts = [fingerprint((".py", ".pxd", ".h"))]
    for name in ("setup.py", "pyproject.toml", *(f"tools/staging/{path.name}" for path in sorted(STAGING.glob("*.py")))):
        stat = (ROOT / name).stat()
        parts.append(f"{name} {stat.st_mtime_ns} {stat.st_size}")
    parts += [os.environ.get(name, "") for name in ("CC", "CFLAGS", "LDFLAGS", "HIDMA_PURE")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compiler() -> str:
    """What of a C compiler is here, for a build that lacked one: it is tried again when this has changed."""
    import sysconfig  # late: an ordinary start does not need it

    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    return f"{shutil.which(command)} {Path(sysconfig.get_path('include'), 'Python.h').is_file()}"


def requirements(program: str) -> list[str]:
    """What pip has to install for a program."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        data = tomllib.load(file)
    project = data["project"]
    extras = project.get("optional-dependencies", {})
    wanted = [*data["build-system"]["requires"], *project["dependencies"]]
    todo = list(EXTRAS[program])
    while todo:
        for line in extras[todo.pop()]:
            own = re.fullmatch(r"hidma\[([\w\s,-]+)\]", line)
            if own:
                todo += [name.strip() for name in own[1].split(",")]
            else:
                wanted.append(line)
    return wanted


# --- putting it in order ----------------------------------------------------------------------------------------------


def in_order(program: str) -> bool:
    state = read_state()
    # pyproject.toml is one of the build's files, so when that is as it was, so is what it asks to install
    return built(state) and program in state.get("installed", {})


def built(state: dict[str, Any]) -> bool:
    if not state or state.get("built") != build_input() or state.get("made") != fingerprint((".so",)):
        return False
    return "lacked" not in state or state["lacked"] == compiler()


def run(command: list[str], log: IO[str], quiet: bool = False) -> tuple[int, str]:
    """Run a program; its output goes to the log, and lines that begin as ours do to the terminal, unless quiet."""
    log.write("$ " + " ".join(command) + "\n")
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    for name in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV"):
        env.pop(name, None)
    output = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            log.flush()
            if line.startswith("hidma: ") and not quiet:
                print(line, end="", file=sys.stderr, flush=True)
            else:
                output.append(line)
    return process.returncode, "".join(output)


def bring(package: str) -> str:
    """The command that brings what Debian splits off from Python (a Python beside its own: with its version)."""
    name = "python3"
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    if base != os.path.realpath("/usr/bin/python3"):
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"apt-get install {name}-{package}"


def make_venv(log: IO[str]) -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            stop(f"this Python ({sys.executable}) cannot make a private environment (no {module}): {bring('venv')}")
    say(f"first start: making a private environment in {VENV}")
    shutil.rmtree(VENV, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    code, output = run([base, "-I", "-m", "venv", str(VENV)], log)
    if code:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), f"exit status {code}")
        stop(f"cannot make a private environment in {VENV}: {last} ({bring('venv')} may help; see {LOG})")


NETWORK = re.compile(
    r"NewConnectionError|name resolution|ConnectionError|Connection refused|Network is unreachable|ConnectTimeout|"
    r"Read timed out|ProxyError|No route to host",
    re.IGNORECASE,
)


def install(wanted: list[str], log: IO[str]) -> None:
    names = ", ".join(re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for line in wanted)
    say(f"installing {names}")
    command = [str(PYTHON), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    code, output = run([*command, "--progress-bar", "off", *wanted], log)
    if code:
        errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
        if NETWORK.search(output):
            stop(f"pip reaches no package index, which the first start needs (a network, or PIP_FIND_LINKS); see {LOG}")
        stop(f"pip could not install them: {errors[0] if errors else f'exit status {code}'}; see {LOG}")
    place = subprocess.run(
        [PYTHON, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    ).stdout.strip()
    Path(place, "hidma-checkout.pth").write_text(f"{ROOT}\n", encoding="utf-8")


def build(log: IO[str]) -> bool:
    """Build in place; True when there are extension modules now, or should be none."""
    # egg_info lays the metadata beside the sources, so that entry points are found as in an installed package
    metadata = ROOT / "hidma.egg-info" / "PKG-INFO"
    reads = [ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "hidma" / "__init__.py"]
    code, output = 0, ""
    if not metadata.is_file() or metadata.stat().st_mtime_ns <= max(path.stat().st_mtime_ns for path in reads):
        code, output = run([str(PYTHON), "-P", "setup.py", "-q", "egg_info"], log, quiet=True)
    if not code:
        code, output = run([str(PYTHON), "-P", "setup.py", "-q", "build_ext", "--inplace"], log)
    if code:
        sys.stderr.write(output)
        stop(f"the build failed, as above and in {LOG} (HIDMA_PURE=1 does without it)")
    note = json.loads((ROOT / "hidma" / "_built.json").read_text(encoding="utf-8"))
    return "why_not" not in note or os.environ.get("HIDMA_PURE", "0") not in ("", "0")


def put_in_order(program: str) -> None:
    try:
        LOG.parent.mkdir(exist_ok=True)
        lock = open(LOG.parent / "setup.lock", "w")
    except OSError as error:
        stop(f"cannot write in {LOG.parent}: {os.strerror(error.errno or 0)}")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            say("another start is setting this checkout up; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if in_order(program):
            return
        with open(LOG, "w", encoding="utf-8") as log:
            state = read_state()
            if not state or not PYTHON.exists():
                make_venv(log)
                state = {"identity": identity()}
                write_state(state)
            wanted = {name: requirements(name) for name in EXTRAS}
            had = {name: lines for name, lines in state.get("installed", {}).items() if lines == wanted.get(name)}
            if program not in had:
                install(wanted[program], log)
                had |= {name: lines for name, lines in wanted.items() if set(lines) <= set(wanted[program])}
                state["installed"] = had
                write_state(state)
            if not built(state):
                state["built"] = build_input()  # as it is now: what changes during the build is for the next start
                state.pop("lacked", None)
                if not build(log):
                    state["lacked"] = compiler()
                state["made"] = fingerprint((".so",))
            state["installed"] = had
            write_state(state)


def from_here(argument: str) -> str:
    """An argument of pytest that names a file below another working directory, made whole."""
    path, mark, rest = argument.partition("::")
    if path and not path.startswith("-") and os.path.exists(path):
        return os.path.abspath(path) + mark + rest
    return argument


def main(program: str, arguments: list[str]) -> NoReturn:
    # whoever started this may have blocked them, and Ctrl-C is to stop what runs here
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    if not in_order(program):
        put_in_order(program)
    os.environ.pop("PYTHONHOME", None)
    # -P: nothing is imported from the working directory
    if program == "test":
        if Path.cwd() != ROOT:
            arguments = [from_here(argument) for argument in arguments]
            os.chdir(ROOT)
        command = [str(PYTHON), "-P", "-m", "pytest", *arguments]
    elif program == "docs":
        docs = ROOT / "docs"
        built = docs / "_build"
        command = [str(PYTHON), "-P", "-m", "sphinx", "-W", "--keep-going", "-j", "auto", "-b", "html"]
        command += ["-d", str(built / "doctrees"), *arguments, str(docs), str(built / "html")]
    else:
        command = [str(PYTHON), "-P", "-m", PROGRAMS[program], *arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(PYTHON, command)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        say("stopped; the next start goes on from here")
        sys.exit(130)
    except OSError as error:
        stop(f"cannot set up {ROOT}: {error}")
