# SPDX-License-Identifier: GPL-2.0-only
"""The guest's first file system: a cpio archive (newc) with busybox, modules, and the script that does what is asked for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hidma.commands.qemu.errors import QemuError
from hidma.commands.qemu.packages import Modules, Parts, dependencies, module_info, module_name, read_module

DRIVERS = ("hdma_mgmt", "hdma")
COMPATIBLE = {"hdma_mgmt": "qcom,hidma-mgmt-", "hdma": "qcom,hidma-1"}
RAID = ("brd", "raid456")
TRAILER = "TRAILER!!!"
DIRECTORY = 0o040755
FILE = 0o100644
PROGRAM = 0o100755
DEVICE = 0o020600


def entry(name: str, mode: int, data: bytes = b"", number: int = 0, device: tuple[int, int] = (0, 0)) -> bytes:
    """One member of the archive."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + "".join(f"{value:08x}" for value in fields).encode() + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@dataclass
class Plan:
    """What the guest is to do.

    :ivar mode: ``raid``, ``probe``, ``compare`` or ``shell``
    :ivar mib: MiB that the array copies
    :ivar arrays: how many arrays, each on a CPU of its own
    :ivar drivers: modules in place of the stock ones
    :ivar client: a module to load when the driver is bound, and its parameters
    """

    mode: str
    mib: int = 4
    arrays: int = 1
    drivers: Sequence[Path] = ()
    client: Path | None = None
    parameters: Sequence[str] = ()

    @property
    def copies(self) -> bool:
        """Whether it builds the array."""
        return self.mode == "raid" or (self.mode == "compare" and self.client is None)


def replacements(drivers: Sequence[Path]) -> dict[str, Path]:
    """Which stock module each of the user's drivers takes the place of: the one with the same device tree strings.

    :raises QemuError: when one is for other hardware, or two are for the same
    """
    found: dict[str, Path] = {}
    for path in drivers:
        data = read_module(path, "--driver")
        aliases = " ".join(module_info(data, "alias"))
        names = [name for name in DRIVERS if COMPATIBLE[name] in aliases]
        if not names:
            raise QemuError(f"{path} is no driver for this hardware: its aliases have neither qcom,hidma-1.0 nor "
                            "qcom,hidma-mgmt-1.0")
        for name in names:
            if name in found:
                raise QemuError(f"{path} and {found[name]} are drivers for the same device; give one of them")
            found[name] = path
    return found


def check_release(data: bytes, path: Path, kernel: str) -> None:
    """A module must have been built for the kernel that is to load it.

    :raises QemuError: when it was built for another
    """
    for magic in module_info(data, "vermagic")[:1]:
        release = magic.split()[0]
        if kernel and release != kernel:
            raise QemuError(f"{path} was built for Linux {release}, the kernel is {kernel}; "
                            "modules and kernel must be of one build")


def build(plan: Plan, parts: Parts, kernel: str, retry: bool = False) -> bytes:
    """The archive.

    :param kernel: what the kernel calls itself, to compare with the modules
    :param retry: whether a device that the driver did not take is offered again: no fault is to be seen, and the machine may
        have been too busy to answer within the 10 ms that the driver waits
    :raises QemuError: when a module is not there or of another kernel
    """
    modules = Modules(parts.modules)
    replaced = replacements(plan.drivers)
    wanted = [*DRIVERS, *(RAID if plan.copies else ())]
    order: list[tuple[str, Path]] = []
    later: list[tuple[str, Path]] = []
    for name, path in modules.order(wanted, replaced):
        (order if name in DRIVERS else later).append((name, path))
    for name in wanted:
        if parts.modules is not None and name not in replaced and name not in modules.files and name not in modules.builtin:
            raise QemuError(f"{parts.modules} has no module {name}; the kernel needs CONFIG_QCOM_HIDMA, CONFIG_QCOM_HIDMA_MGMT "
                            "and, for the array, CONFIG_BLK_DEV_RAM and CONFIG_MD_RAID456")
    client = ""
    if plan.client is not None:
        data = read_module(plan.client, "--client")
        client = module_name(plan.client.name)
        for other in dependencies(data):
            later += [item for item in modules.order([other], {}) if item not in later]
        later.append((client, plan.client))
    out = bytearray()
    for directory in ("dev", "proc", "sys", "bin", "modules", "tmp"):
        out += entry(directory, DIRECTORY)
    out += entry("dev/console", DEVICE, device=(5, 1))
    out += entry("dev/kmsg", DEVICE, device=(1, 11))
    out += entry("bin/busybox", PROGRAM, parts.busybox.read_bytes())
    seen: set[str] = set()
    for name, path in [*order, *later]:
        if name not in seen:
            data = read_module(path)
            check_release(data, path, kernel)
            out += entry(f"modules/{name}.ko", FILE, data)
            seen.add(name)
    settings = {
        "MODE": plan.mode, "MIB": str(plan.mib), "ARRAYS": str(plan.arrays),
        "DRIVERS": " ".join(name for name, _ in order),
        "MODULES": " ".join(name for name, _ in later if name != client),
        "RETRY": "1 2 3" if retry else "", "CLIENT": client, "PARAMETERS": " ".join(plan.parameters),
    }
    text = "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items())
    out += entry("plan", FILE, text.encode())
    out += entry("init", PROGRAM, resources.files("hidma.commands.qemu").joinpath("init.sh").read_bytes())
    out += entry(TRAILER, 0)
    return bytes(out)
