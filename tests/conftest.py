# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that several test modules share, and the order in which tests are handed to the workers of pytest-xdist."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from linux_rig import Rig
from xdist.scheduler import LoadScopeScheduling

import hidma
from hidma import Channel, Machine

ROOT = Path(__file__).resolve().parent.parent

if sys.dont_write_bytecode:
    # Every worker and every process that a test starts would compile the same modules again.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "pycache")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


#: Whether slow tests are run too: HIDMA_SLOW=1, as .ci/run has it.
SLOW = os.environ.get("HIDMA_SLOW", "0") not in ("", "0")


def files_named(config: pytest.Config) -> bool:
    """Whether each argument is a file or a test."""
    return not any(Path(name).is_dir() for name in config.args)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """``-n auto``: one worker per CPU for the whole suite; a named file or test runs in this process."""
    return 0 if files_named(config) and len(config.args) <= 2 else None


#: Files whose tests take long and share nothing: each test of them goes to the next worker that is free.
SPREAD = {"test_modes.py", "test_orders.py", "test_soak.py", "test_tour.py"}


class Scheduling(LoadScopeScheduling):
    """The tests of a file stay together on one worker, as they share fixtures and caches."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if Path(file).name in SPREAD else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that all workers are done at about the same time. Slow tests are run where their file or
    their mark is named, or HIDMA_SLOW=1 asks for them."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    long = {item.path for item in slow}
    items.sort(key=lambda item: (item.path.name not in SPREAD, item.path not in long))
    if not (SLOW or files_named(config) or "slow" in config.option.markexpr):
        for item in slow:
            item.add_marker(pytest.mark.skip("slow: HIDMA_SLOW=1 tools/test runs it, and so does the name of its file"))


def shared_files() -> set[str]:
    """Names in /dev/shm, but for those that browsers and semaphores of other tests have for a moment."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith((".", "sem."))}


@pytest.fixture
def linux_rig() -> Iterator[Callable[..., Rig]]:
    """``linux_rig(cpus=2)``: a :class:`linux_rig.Rig`; all of them are closed at the end."""
    made: list[Rig] = []

    def make(*args: Any, **options: Any) -> Rig:
        made.append(Rig(*args, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(linux_rig: Callable[..., Rig]) -> Rig:
    """A rig with one CPU."""
    return linux_rig()


@pytest.fixture
def boot() -> Iterator[Callable[..., Machine]]:
    """``hidma.boot`` whose machines are closed at the end."""
    machines: list[Machine] = []

    def booted(*args: Any, **options: Any) -> Machine:
        machines.append(hidma.boot(*args, **options))
        return machines[-1]

    yield booted
    for machine in machines:
        machine.close()


@pytest.fixture
def machine(boot: Callable[..., Machine]) -> Machine:
    """The bundled board."""
    return boot()


@pytest.fixture
def chan(machine: Machine) -> Channel:
    """Its first channel."""
    return machine.dma.request_channel()


#: Debian's package linux-source-6.1, and what of it the tests look at.
KERNEL_SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
KERNEL_PARTS = ("Makefile", "drivers/dma", "drivers/vfio/platform", "scripts/get_abi.pl",
                "Documentation/ABI")


@pytest.fixture(scope="session")
def kernel_source() -> Path:
    """The source of Linux 6.1: ``HIDMA_KERNEL``, or parts of Debian's package, which are unpacked once and kept."""
    given = os.environ.get("HIDMA_KERNEL")
    if given:
        return Path(given)
    if not KERNEL_SOURCE.exists() or shutil.which("xz") is None:
        pytest.skip("the source of Linux 6.1 is not here: apt-get install linux-source-6.1 xz-utils")
    top = ROOT / "build" / f"linux-6.1-{KERNEL_SOURCE.stat().st_mtime_ns}"
    top.mkdir(parents=True, exist_ok=True)
    with open(top / "lock", "w") as lock:  # another worker may be unpacking it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (top / "unpacked").exists():
            parts = [f"linux-source-6.1/{part}" for part in KERNEL_PARTS]
            subprocess.run(["tar", "-xJf", KERNEL_SOURCE, "-C", top, "--strip-components=1", *parts], check=True)
            (top / "unpacked").touch()
    return top
