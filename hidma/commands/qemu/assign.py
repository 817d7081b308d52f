# SPDX-License-Identifier: GPL-2.0-only
"""The FAQ of the cover letter with the real vfio-platform: a channel leaves its driver, is refused without a reset module, is bound
with one, opened, reset and used by a program of the guest's user space, and comes back.

vfio-platform and the reset module are built for the guest's kernel. The channel stands behind QEMU's SMMUv3: the guest's kernel
writes its tables, and :class:`GuestSmmu` reads them when the model needs an address of the channel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hidma.commands.output import Scratch
from hidma.commands.qemu import build
from hidma.commands.qemu.board import RAM_BASE
from hidma.hw.smmu import GRANULE, READ, WRITE

VFIO_MODULES = ("vfio", "vfio_virqfd", "vfio_iommu_type1")
BUILT = ("vfio-platform-base", "vfio-platform", "vfio_platform_qcomhidma")
KBUILD = """\
obj-m := vfio-platform-base.o vfio-platform.o vfio_platform_qcomhidma.o
vfio-platform-base-y := vfio_platform_common.o vfio_platform_irq.o
vfio-platform-y := vfio_platform.o
"""
APPEND = "iommu.passthrough=1"

SMMU_BASE = 0x09050000
STRTAB_BASE, STRTAB_CONFIG = 0x80, 0x88
ADDRESS = 0xF_FFFF_FFFF_F000


def own(name: str) -> bytes:
    """A file that lies beside this module."""
    return resources.files("hidma.commands.qemu").joinpath(name).read_bytes()


def built(kit: build.Kit) -> dict[str, bytes]:
    """vfio-platform, the reset module and the program for user space: their places in the guest and their bytes.

    :raises QemuError: what the compiler complains about
    """
    with Scratch(prefix="hidma-qemu-") as scratch:
        place = Path(scratch)
        for file in (kit.source / "drivers" / "vfio" / "platform").glob("*.[ch]"):
            (place / file.name).write_bytes(file.read_bytes())
        for name in ("vfio_platform_qcomhidma.c", "vfio_user.c"):
            (place / name).write_bytes(own(name))
        (place / "Kbuild").write_text(KBUILD)
        build.make(place, kit.headers)
        build.run_tool([build.COMPILER, "-O2", "-static", "-o", "vfio-user", "vfio_user.c"], place)
        found = {f"modules/{name}.ko": (place / f"{name}.ko").read_bytes() for name in BUILT}
        return found | {"bin/vfio-user": (place / "vfio-user").read_bytes()}


class GuestSmmu:
    """The tables of an SMMUv3 in the guest's memory, as far as Linux uses them: stage 1 with granules of 4 KiB.

    :param ram: the guest's RAM
    :param register: reads 32 bits at a physical address of the guest
    """

    def __init__(self, ram: memoryview, register: Callable[[int], int]) -> None:
        self.ram = ram
        self.register = register

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Words of 64 bits in the guest's memory; zeros where there is none."""
        at = address - RAM_BASE
        if not 0 <= at <= len(self.ram) - 8 * count:
            return (0,) * count
        return struct.unpack_from(f"<{count}Q", self.ram, at)

    def entry(self, stream: int) -> tuple[int, ...]:
        """The stream table entry."""
        table = self.register(SMMU_BASE + STRTAB_BASE) | self.register(SMMU_BASE + STRTAB_BASE + 4) << 32
        config = self.register(SMMU_BASE + STRTAB_CONFIG)
        address = table & 0xF_FFFF_FFFF_FFC0
        if config >> 16 & 3 == 1:  # two levels
            split = config >> 6 & 0x1F
            (level1,) = self.words(address + (stream >> split) * 8, 1)
            if not level1 & 0x1F:
                return (0,) * 8
            address, stream = level1 & 0xF_FFFF_FFFF_FFC0, stream & (1 << split) - 1
        return self.words(address + stream * 64, 8)

    def page(self, stream: int, page: int) -> int | None:
        """What :attr:`hidma.hw.smmu.Domain.source` is asked for."""
        entry = self.entry(stream)
        config = entry[0] >> 1 & 7
        if not entry[0] & 1 or config not in (4, 5):
            return None
        if config == 4:  # bypass
            return page * GRANULE | READ | WRITE
        control, table, *_ = self.words(entry[0] & 0xF_FFFF_FFFF_FFC0, 8)
        bits = 64 - (control & 0x3F)
        if page >> (bits - 12) or not control >> 31 & 1:
            return None
        table &= ADDRESS
        level = 4 - -(-(bits - 12) // 9)
        while level <= 3:
            shift = 9 * (3 - level)
            (found,) = self.words(table + (page >> shift & 0x1FF) * 8, 1)
            if not found & 1:
                return None
            table = found & ADDRESS
            if level == 3 or not found & 2:
                low = page & (1 << shift) - 1
                return (table & ~((GRANULE << shift) - 1)) + low * GRANULE | READ | (0 if found & 0x80 else WRITE)
            level += 1
        return None


#: What each step begins with, and the RESETs of the transfer and the event channel that it must bring. The driver's own RESETs of
#: the event channel may go unseen: it does not wait between RESET and the next command.
EXPECTED = (
    ("unbind hidma: ok", None), ("bind vfio-platform: No such file or directory", (0, 0)), ("the kernel: ", (0, 0)),
    ("insmod vfio_platform_qcomhidma", (0, 0)), ("bind vfio-platform: ok", (0, 0)), ("open: 2 regions, 1 interrupts", (1, 1)),
    ("VFIO_DEVICE_RESET", (1, 1)), ("VFIO_IOMMU_MAP_DMA", (0, 0)), ("DMA: 4096 bytes copied and the same, event 0x", (0, 0)),
    ("close", (1, 1)), ("unbind vfio-platform: ok", (0, 0)), ("bind hidma: ok", None), ("chid 0", (0, 0)),
)


def rows(steps: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The steps, each with the RESETs and the descriptors that the model saw since the one before."""
    found = []
    before = (0, 0, 0)
    for text, report in steps:
        commands = report["commands"]
        now = (commands["trca"].get("RESET", 0), commands["evca"].get("RESET", 0), report["descriptors"])
        found.append({"step": text, **dict(zip(("trca_resets", "evca_resets", "descriptors"),
                                               (new - old for new, old in zip(now, before, strict=True)), strict=True))})
        before = now
    return found


def described(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The steps for people, with what happened to the model in each."""
    for number, row in enumerate(found, 1):
        seen = [f"{row[key]} {name}" for key, name in (("trca_resets", "RESET of TRCA"), ("evca_resets", "RESET of EVCA"),
                                                       ("descriptors", "descriptor")) if row[key]]
        yield f"{number:2}. {row['step']}"
        if seen:
            yield f"    the model: {', '.join(seen)}"


def unexpected(found: Sequence[dict[str, Any]]) -> list[str]:
    """What did not go as it should, in sentences."""
    said: list[str] = []
    if len(found) > len(EXPECTED):
        return [f"after the last step there is {found[len(EXPECTED)]['step']!r}"]
    for row, (text, resets) in zip_longest(found, EXPECTED, fillvalue={"step": "missing"}):
        if not row["step"].startswith(text):
            return [*said, f"a step is {row['step']!r} where {text!r} is expected"]
        if resets is not None and (row["trca_resets"], row["evca_resets"]) != resets:
            said.append(f"{row['step']}: the model saw {row['trca_resets']} RESETs of TRCA and {row['evca_resets']} of EVCA where "
                        f"{resets[0]} and {resets[1]} are expected")
    return said
