# SPDX-License-Identifier: GPL-2.0-only
"""Modules for the guest's kernel, built on this machine: Debian's headers and tools of that kernel, and the source of the two
directories that a driver developer of HIDMA needs. They are fetched beside the guest's packages, and nothing is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hidma.commands.output import Scratch
from hidma.commands.qemu.errors import QemuError
from hidma.commands.qemu.packages import Say, apt_options, guest_dir, run_apt

PREFIX = "aarch64-linux-gnu-"
COMPILER = f"{PREFIX}gcc"
DIRECTORIES = ("drivers/dma", "drivers/vfio")
INSTALLED = Path("/usr/src")


@dataclass(frozen=True)
class Kit:
    """The build directory of a kernel (its ``/lib/modules/VERSION/build``) and the source of DIRECTORIES."""

    headers: Path
    source: Path


def check_tools() -> None:
    """:raises QemuError: when there is no compiler or no make."""
    for tool, package in ((COMPILER, "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"), ("make", "make"), ("tar", "tar")):
        if shutil.which(tool) is None:
            raise QemuError(f"{tool} is not there, so no module can be built (Debian: apt-get install {package})")


def kit(release: str, suite: str | None, say: Say) -> Kit:
    """Headers and source of a kernel, fetched when they are not there.

    :param release: what the kernel calls itself, ``6.1.0-57-arm64``
    :raises QemuError: when apt has none
    """
    place = guest_dir(suite) / "build"
    found = Kit(place / "usr" / "src" / f"linux-headers-{release}", place / "source")
    if not (found.headers.is_dir() and found.source.is_dir()):
        place.parent.mkdir(parents=True, exist_ok=True)
        with Scratch(prefix="fetch-", dir=place.parent.parent) as work:
            try:
                _fetch(Path(work), release, suite, say)
            except OSError as error:
                raise QemuError(f"{work} cannot be written: {error.strerror}") from None
            shutil.rmtree(place, ignore_errors=True)
            Path(work, "build").rename(place)
        # Debian's files name their place with its full path
        for makefile in found.headers.glob("Makefile"):
            makefile.write_text(makefile.read_text().replace("/usr/src/", f"{place}/usr/src/"))
    if not found.headers.is_dir():
        raise QemuError(f"apt has no headers of Linux {release}; fetch the guest again (hidma qemu --fetch), or build the modules "
                        "in a tree of your own")
    return found


def _fetch(work: Path, release: str, suite: str | None, say: Say) -> None:
    host = run_apt(["dpkg", "--print-architecture"], work, "the architecture of this machine").strip()
    options = apt_options(work, suite, host)
    debs = work / "debs"
    headers = f"linux-headers-{release}"
    say(f"fetching headers and source of Linux {release}")
    run_apt(["apt-get", *options, "-qq", "update"], debs, "the package lists")
    depends = run_apt(["apt-cache", *options, "depends", "--recurse", "--important", headers], debs,
                      f"no {headers} in apt's sources")
    names = set(re.findall(rf"\b(linux-headers-\S+-common|linux-kbuild-[^\s:]+:{host})\s", depends))
    version = re.match(r"\d+\.\d+", release)
    source = f"linux-source-{version[0] if version else ''}"
    tarball = INSTALLED / f"{source}.tar.xz"
    wanted = [headers, *sorted(names), *([] if tarball.is_file() else [source])]
    run_apt(["apt-get", *options, "-qq", "download", *wanted], debs, f"{' '.join(wanted)} cannot be fetched")
    build = work / "build"
    (build / "source").mkdir(parents=True)
    for deb in debs.glob("*.deb"):
        run_apt(["dpkg-deb", "-x", str(deb), str(work / "source" if deb.name.startswith(source) else build)], debs, deb.name)
    if not tarball.is_file():
        tarball = work / "source" / tarball.relative_to("/")
    say("unpacking the source")
    run_apt(["tar", "-xf", str(tarball), "-C", str(build / "source"), "--strip-components=1", "--wildcards",
             *(f"{source}/{directory}/*" for directory in DIRECTORIES)], debs, tarball.name)


def make(directory: Path, headers: Path) -> None:
    """Build the modules of a directory with a Kbuild file.

    :raises QemuError: the compiler's first error
    """
    command = ["make", "-s", "-C", str(headers), f"M={directory}", "ARCH=arm64", f"CROSS_COMPILE={PREFIX}", f"CC={COMPILER}",
               "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]  # types for BPF would take pahole
    run_tool(command, directory)


def run_tool(command: Sequence[str], directory: Path) -> None:
    """Run a compiler.

    :raises QemuError: its first error
    """
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if re.search(r"\b[Ee]rror\b|GLIBC|not found", line)]
        raise QemuError(f"{command[0]} does not build what lies in {directory}: {said[0] if said else 'it gives no reason'}")
