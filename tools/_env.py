# SPDX-License-Identifier: GPL-2.0-only
"""Keeps the private environment of a checkout, `.venv`, and runs a program in it: `_env.py PROGRAM ARGS`.

Called by the scripts beside it, through _env.sh. It makes the environment, installs the checkout in it with the extras
that the program needs, builds the extension modules in place and becomes the program. When all is as it was, that costs
a look at the times and sizes of the files that a build reads and makes. It imports the standard library only.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV, STATE, PYTHON = ROOT / ".venv", ROOT / ".venv" / "hidma.json", str(ROOT / ".venv" / "bin" / "python")
LOG = ROOT / "build" / "setup.log"
# -P: nothing is imported from the working directory. hidma asks for further extras itself (commands/extras.py).
PROGRAMS = {
    "hidma": ["-P", "-m", "hidma"],
    "replay": ["-P", "-m", "hidma.commands.replay"],
    "bench": ["-P", "-m", "hidma.commands.bench.cli"],
    "fuzz": ["-P", "-m", "hidma.commands.fuzz.cli"],
    "test": ["-P", "-m", "pytest"],
    "docs": "-P -m sphinx -W --keep-going -j auto -b html -d docs/_build/doctrees docs docs/_build/html".split(),
}
EXTRAS = {"test": ["test"], "docs": ["docs"]}
#: Of the PIP_ variables pip is given those that say where packages come from; the others would break an installation.
PIP = re.compile(r"PIP_(\w*INDEX\w*|FIND_LINKS|\w*CERT|TRUSTED_HOST|PROXY|\w*CACHE\w*|\w*TIMEOUT|RETRIES|CONSTRAINT|CONFIG_FILE)")
OFFLINE = re.compile(r"ConnectionError|name resolution|ConnectTimeout|Network is unreachable|timed out|ProxyError")
FLAGS = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "HIDMA_PURE")


def stop(sentence: str) -> None:
    sys.exit(f"hidma: {sentence}")


def fingerprint(inputs: bool) -> str:
    """A hash of names, times and sizes of what a build reads, or of what it makes."""
    said, files = [sys.version, sys.base_prefix, str(ROOT)], []
    for top, _, names in os.walk(ROOT / "hidma"):
        pairs = [name for name in names if os.path.splitext(name)[0] + ".pxd" in names and name.endswith((".py", ".pxd"))]
        files += [f"{top}/{name}" for name in (pairs if inputs else names) if inputs or name.endswith(".so")]
    if inputs:
        header = f"{sys.base_prefix}/include/python{sys.version_info[0]}.{sys.version_info[1]}/Python.h"
        compilers = {"cc", *(os.environ.get("CC", "").split() or ["gcc"])[:1]}
        files += [f"{ROOT}/setup.py", f"{ROOT}/pyproject.toml", header]
        files += [os.path.realpath(shutil.which(name) or name) for name in compilers]
        said += [os.environ.get(name, "") for name in FLAGS]
    for path in sorted(filter(os.path.exists, files)):
        said.append(f"{path} {os.stat(path).st_mtime_ns} {os.stat(path).st_size}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def read_state() -> dict[str, object]:
    """What the environment was when it was last put in order; empty when there is none, or none of this place."""
    try:
        state = json.loads(STATE.read_text())
        return state if state["of"] == [str(ROOT), sys.version, sys.base_prefix] and os.path.exists(PYTHON) else {}
    except (OSError, ValueError, KeyError):
        return {}


def in_order(state: dict[str, object], extras: set[str]) -> bool:
    return extras <= {*state.get("extras", ())} and state.get("built") == [fingerprint(True), fingerprint(False)]


def bundled_pip() -> str:
    """The wheel of pip that comes with Python, which runs as it is; empty where there is none."""
    import ensurepip
    import glob
    import sysconfig

    place = sysconfig.get_config_var("WHEEL_PKG_DIR") or os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    return max(glob.glob(f"{place}/pip-*.whl"), default="")


def run(what: str, command: list[str], lock: tuple[int, ...] = (), **variables: str) -> None:
    """Run one step: its output goes to the log, its lines that begin as ours do to the terminal."""
    env = {name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "PYTHON")) or PIP.match(name)}
    env |= variables | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}
    lines: list[str] = []
    with open(LOG, "a") as log, open(LOG, errors="replace") as written:  # a pipe would stay open if a grandchild hangs
        written.seek(0, os.SEEK_END)
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        with subprocess.Popen(command, cwd=ROOT, env=env, pass_fds=lock, **streams) as child:
            ended = None
            while ended is None:  # not child.wait(0.1), whose lock stays taken when Ctrl-C comes at the wrong moment
                time.sleep(0.1)
                ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                for line in written:
                    lines.append(line)
                    if line.startswith("hidma: "):
                        print(line, end="", file=sys.stderr, flush=True)
    if child.returncode:
        output = "".join(lines)
        if "setup.py" in command:
            sys.stderr.write(output)
        if "No space left on device" in output:
            why = "no space left on the device: free some and start again"
        elif OFFLINE.search(output):
            why = "no package index can be reached: it needs a network once (see HTTPS_PROXY, PIP_INDEX_URL, PIP_FIND_LINKS)"
        elif child.returncode < 0:
            why = f"it was stopped by signal {-child.returncode}"
        else:
            errors = [line for line in lines if "rror: " in line or "ERROR:" in line] or lines or ["no output\n"]
            why = errors[0].strip().removeprefix("ERROR: ")
        stop(f"{what} failed: {why}; {LOG} has the whole output")


def put_in_order(extras: set[str]) -> None:
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG.parent / "setup.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("hidma: another start is setting this checkout up; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        held = (lock.fileno(),)  # pip holds it as well, in case this process is killed
        state = read_state()
        if in_order(state, extras):
            return
        LOG.write_text("")
        if not state or "installing" in state:  # an installation that was killed may have left half a package
            try:
                import ensurepip  # noqa: F401  (Debian splits it off)
                import venv  # noqa: F401
            except ImportError as error:
                stop(f"this Python ({sys.executable}) has no module {error.name}: apt-get install python3-venv")
            print(f"hidma: first start: making a private environment in {VENV}", file=sys.stderr, flush=True)
            shutil.rmtree(VENV, ignore_errors=True)
            base = getattr(sys, "_base_executable", sys.executable)
            # with pip, venv takes seconds to compile all of it
            options = ["--without-pip"] if bundled_pip() else []
            run("making the environment", [base, "-I", "-m", "venv", *options, str(VENV)], held)
            state = {"of": [str(ROOT), sys.version, sys.base_prefix], "extras": []}
        asked = (ROOT / "pyproject.toml").read_text()
        project = hashlib.sha256(asked.encode()).hexdigest()
        if state.get("project") != project or not extras <= {*state["extras"]}:
            wanted = sorted({*state["extras"], *extras})
            STATE.write_text(json.dumps(state | {"installing": True}))
            try:
                names = f"[{','.join(wanted)}]" if wanted else ""
                import tomllib  # late: an ordinary start does not need it

                to_build = tomllib.loads(asked)["build-system"]["requires"]
                print(f"hidma: installing hidma{names}", file=sys.stderr, flush=True)
                wheel = "" if os.path.exists(VENV / "bin" / "pip") else bundled_pip()
                first = [f"{wheel}/pip", "install", wheel] if wheel else ["-m", "pip", "install"]
                run("the installation", [PYTHON, "-I", *first, "--no-compile", *to_build], held)
                command = [PYTHON, "-I", "-m", "pip", "install", "--no-compile", "--no-build-isolation", "-e", f"{ROOT}{names}"]
                run("the installation", command, held, HIDMA_PURE="1")  # the extensions come below
                state |= {"project": project, "extras": wanted}
            finally:
                if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                    STATE.write_text(json.dumps(state))
        inputs = fingerprint(True)  # before the build: a change during it is for the next start
        run("the build", [PYTHON, "-P", "setup.py", "-q", "build_ext", "--inplace"])
        STATE.write_text(json.dumps(state | {"built": [inputs, fingerprint(False)]}))


def main(program: str, arguments: list[str]) -> None:
    # the caller may have blocked them, and Ctrl-C is to stop what runs here
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    extras = {*EXTRAS.get(program, ()), *os.environ.get("HIDMA_EXTRAS", "").split()}
    if not in_order(read_state(), extras):
        put_in_order(extras)
    os.environ.pop("PYTHONHOME", None)
    if program not in EXTRAS:
        os.environ |= {"HIDMA_TOOL": str(ROOT / "tools" / program), "HIDMA_EXTRAS": " ".join(sorted(extras))}
    elif Path.cwd() != ROOT:  # an argument that names a file below another working directory is made whole
        arguments = [os.path.abspath(arg) if os.path.exists(arg.partition("::")[0]) else arg for arg in arguments]
        os.chdir(ROOT)
    sys.stderr.flush()
    os.execv(PYTHON, [PYTHON, *PROGRAMS[program], *arguments])


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        print("\nhidma: stopped; the next start goes on from here", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        stop(f"cannot set up {ROOT}: {error.strerror or error}; it needs a checkout that can be written, with 500 MB free")
