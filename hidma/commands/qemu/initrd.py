# SPDX-License-Identifier: GPL-2.0-only
"""The guest's first file system: a cpio archive (newc) with busybox, modules, and the script that does what is asked for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from hidma.commands.qemu.errors import QemuError
from hidma.commands.qemu.packages import Modules, Parts, dependencies, module_info, module_name, read_module

DRIVERS = ("hdma_mgmt", "hdma")
DEVICE_TREE, ACPI = "dt", "acpi"
FIRMWARE_NAMES = {DEVICE_TREE: "a device tree", ACPI: "ACPI tables"}
ALIASES = {
    "hdma_mgmt": {DEVICE_TREE: "of:N*T*Cqcom,hidma-mgmt-1.0", ACPI: "acpi*:QCOM8060:*"},
    "hdma": {DEVICE_TREE: "of:N*T*Cqcom,hidma-1.0", ACPI: "acpi*:QCOM8061:*"},
}
"""What the driver of each device must have among its aliases to be bound to what the firmware describes."""
TABLE = "kernel/firmware/acpi/hidma.aml"
"""Where the kernel looks for ACPI tables in its initrd (Documentation/admin-guide/acpi/initrd_table_override.rst)."""
RAID = ("brd", "raid456")
SHARE = ("virtio_mmio", "9pnet_virtio", "9p")
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

    :ivar mode: ``raid``, ``probe``, ``compare``, ``run`` or ``shell``
    :ivar mib: MiB that the array copies
    :ivar arrays: how many arrays, each on a CPU of its own
    :ivar drivers: modules in place of the stock ones
    :ivar client: a module to load when the driver is bound, and its parameters
    :ivar script: what ``run`` gives the guest's shell, and its arguments
    :ivar modules: those of the kernel that are loaded beside
    :ivar files: what else lies in the guest's file system
    :ivar share: whether a directory of this machine is mounted at /share
    """

    mode: str
    mib: int = 4
    arrays: int = 1
    drivers: Sequence[Path] = ()
    client: Path | None = None
    parameters: Sequence[str] = ()
    script: bytes = b""
    arguments: Sequence[str] = ()
    share: bool = False
    modules: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def copies(self) -> bool:
        """Whether it builds the array."""
        return self.mode == "raid" or (self.mode == "compare" and self.client is None)


def replacements(drivers: Sequence[Path]) -> dict[str, Path]:
    """Which stock module each of the user's drivers takes the place of: the one with the same aliases.

    :raises QemuError: when one is for other hardware, or two are for the same
    """
    found: dict[str, Path] = {}
    for path in drivers:
        data = read_module(path, "--driver")
        names = [name for name in DRIVERS if firmware_of(name, data)]
        if not names:
            raise QemuError(f"{path} is no driver for this hardware: it has {has_aliases(data)}, and none of "
                            f"{', '.join(alias for name in DRIVERS for alias in ALIASES[name].values())}")
        for name in names:
            if name in found:
                raise QemuError(f"{path} and {found[name]} are drivers for the same device; give one of them")
            found[name] = path
    return found


def firmware_of(name: str, data: bytes) -> list[str]:
    """The kinds of firmware by which a module finds the device of ``hdma`` or ``hdma_mgmt``."""
    has = module_info(data, "alias")
    return [kind for kind, alias in ALIASES[name].items() if alias in has]


def has_aliases(data: bytes) -> str:
    """The aliases of a module, for a sentence about it."""
    has = [alias for alias in module_info(data, "alias") if not alias.endswith("C*")]
    return f"the alias{'es' if len(has) > 1 else ''} {', '.join(has)}" if has else "no alias"


def choose_firmware(plan: Plan, parts: Parts, wanted: str | None) -> tuple[str, str]:
    """Device tree or ACPI, by the aliases of the modules that the guest will load; and the line that says why.

    :param wanted: the user's choice, None for a device tree where the modules can be bound by one
    :raises QemuError: when a module has no alias for it
    """
    modules = Modules(parts.modules)
    files = {**{name: modules.files[name] for name in DRIVERS if name in modules.files}, **replacements(plan.drivers)}
    kinds = list(FIRMWARE_NAMES)
    reason = "the drivers are built into the kernel"
    for name, path in files.items():
        data = read_module(path)
        left = [kind for kind in kinds if kind in firmware_of(name, data)]
        if not left:
            raise QemuError(f"{path} cannot be bound by {' or '.join(FIRMWARE_NAMES[kind] for kind in kinds)}: it has "
                            f"{has_aliases(data)}, where {' or '.join(ALIASES[name][kind] for kind in kinds)} is needed")
        if wanted is not None and wanted not in left:
            raise QemuError(f"--firmware {wanted}: {path} cannot be bound by {FIRMWARE_NAMES[wanted]}: it has "
                            f"{has_aliases(data)}, and not {ALIASES[name][wanted]}")
        kinds = left
        others = "" if len(kinds) > 1 else f" and nothing for {FIRMWARE_NAMES[next(k for k in FIRMWARE_NAMES if k not in kinds)]}"
        reason = f"{path.name} has {' and '.join(ALIASES[name][kind] for kind in kinds)}{others}"
    kind = wanted or kinds[0]
    return kind, f"firmware: {FIRMWARE_NAMES[kind]}, {'as asked for' if wanted else 'because ' + reason}"


def check_release(data: bytes, path: Path, kernel: str) -> None:
    """A module must have been built for the kernel that is to load it.

    :raises QemuError: when it was built for another
    """
    for magic in module_info(data, "vermagic")[:1]:
        release = magic.split()[0]
        if kernel and release != kernel:
            raise QemuError(f"{path} was built for Linux {release}, the kernel is {kernel}; "
                            "modules and kernel must be of one build")


def build(plan: Plan, parts: Parts, kernel: str, retry: bool = False, table: bytes = b"") -> bytes:
    """The archive.

    :param kernel: what the kernel calls itself, to compare with the modules
    :param retry: whether a device that the driver did not take is offered again: no fault is to be seen, and the machine may
        have been too busy to answer within the 10 ms that the driver waits
    :param table: the ACPI table that the kernel adds to those of its firmware
    :raises QemuError: when a module is not there or of another kernel
    """
    modules = Modules(parts.modules)
    replaced = replacements(plan.drivers)
    wanted = [*DRIVERS, *(RAID if plan.copies else ()), *(SHARE if plan.share else ()), *plan.modules]
    order: list[tuple[str, Path]] = []
    later: list[tuple[str, Path]] = []
    for name, path in modules.order(wanted, replaced):
        (order if name in DRIVERS else later).append((name, path))
    for name in wanted:
        if parts.modules is not None and name not in replaced and name not in modules.files and name not in modules.builtin:
            raise QemuError(f"{parts.modules} has no module {name}; the kernel needs CONFIG_QCOM_HIDMA, CONFIG_QCOM_HIDMA_MGMT, "
                            "for the array CONFIG_BLK_DEV_RAM and CONFIG_MD_RAID456, and for --share CONFIG_9P_FS, "
                            "CONFIG_NET_9P_VIRTIO and CONFIG_VIRTIO_MMIO")
    client = ""
    if plan.client is not None:
        data = read_module(plan.client, "--client")
        client = module_name(plan.client.name)
        for other in dependencies(data):
            later += [item for item in modules.order([other], {}) if item not in later]
        later.append((client, plan.client))
    out = bytearray(entry(TABLE, FILE, table) if table else b"")
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
        "RETRY": "1 2 3" if retry else "", "TABLE": "HIDMAHW" if table else "",
        "CLIENT": client, "PARAMETERS": " ".join(plan.parameters),
        "ARGUMENTS": shlex.join(plan.arguments), "SHARE": "1" if plan.share else "",
    }
    text = "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items())
    for name, data in plan.files.items():
        out += entry(name, PROGRAM, data)
    out += entry("plan", FILE, text.encode()) + entry("script", FILE, plan.script)
    out += entry("init", PROGRAM, resources.files("hidma.commands.qemu").joinpath("init.sh").read_bytes())
    out += entry(TRAILER, 0)
    return bytes(out)
