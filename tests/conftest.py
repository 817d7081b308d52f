# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from linux_rig import Rig

import hidma
from hidma import Channel, Machine


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
KERNEL_PARTS = ("Makefile", "drivers/dma", "drivers/vfio/platform", "scripts/get_abi.pl")


@pytest.fixture(scope="session")
def kernel_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of Linux 6.1: ``HIDMA_KERNEL``, or parts of Debian's package, unpacked once."""
    given = os.environ.get("HIDMA_KERNEL")
    if given:
        return Path(given)
    if not KERNEL_SOURCE.exists() or shutil.which("xz") is None:
        pytest.skip("the source of Linux 6.1 is not here: apt-get install linux-source-6.1 xz-utils")
    top = tmp_path_factory.mktemp("kernel")
    parts = [f"linux-source-6.1/{part}" for part in KERNEL_PARTS]
    subprocess.run(["tar", "-xJf", KERNEL_SOURCE, "-C", top, "--strip-components=1", *parts], check=True)
    return top
