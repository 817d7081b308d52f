# SPDX-License-Identifier: GPL-2.0-only
"""The device tree of a guest: as QEMU generates it, from memory and interrupt resources only."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hidma
from hidma import firmware
from hidma.firmware import FirmwareError, GuestDevice, PlatformBus, Region, guest_blob, guest_tree
from hidma.firmware.guest import BUS, BUS_SPI

HIDMA = ("qcom,hidma-1.0",)
PAGES = (0x1000, 0x1000)


def channels(count: int) -> list[GuestDevice]:
    bus = PlatformBus()
    return [bus.add(f"hidma.{n}", HIDMA, PAGES, 1) for n in range(count)]


def sentence(function: Callable[[], Any]) -> str:
    with pytest.raises(FirmwareError) as caught:
        function()
    return str(caught.value)


def test_regions_and_interrupts_are_placed_as_the_platform_bus_places_them() -> None:
    bus = PlatformBus()
    first = bus.add("hidma.0", HIDMA, (0x1000, 0x1000), 1)
    big = bus.add("eth", ("calxeda,hb-xgmac",), (0x3000,), 3)
    last = bus.add("hidma.1", HIDMA, (0x1000, 0x1000), 1)
    assert first.regions == (Region(0x0C000000, 0x1000), Region(0x0C001000, 0x1000)) and first.interrupts == (112,)
    # 0x3000 rounds up to a multiple of 0x4000
    assert big.regions == (Region(0x0C004000, 0x3000),) and big.interrupts == (113, 114, 115)
    assert last.regions == (Region(0x0C002000, 0x1000), Region(0x0C003000, 0x1000)) and last.interrupts == (116,)
    assert bus.devices == [first, big, last]


def test_placing_never_overlaps() -> None:
    rng = random.Random("platform bus")
    for _ in range(50):
        bus = PlatformBus()
        for number in range(rng.randrange(1, 20)):
            bus.add(f"d{number}", HIDMA, [0x1000 * rng.randrange(1, 9) for _ in range(rng.randrange(1, 4))], rng.randrange(3))
        regions = sorted(region for device in bus.devices for region in device.regions)
        assert all(a.end <= b.base for a, b in zip(regions, regions[1:], strict=False))
        assert all((region.base - BUS.base) % (1 << (region.size - 1).bit_length()) == 0 for region in regions)
        guest_blob(bus.devices)


def test_a_node_has_registers_and_interrupts_and_nothing_of_the_host() -> None:
    tree = guest_tree(channels(2))
    node = tree.node("/platform-bus@c000000/hidma.1@2000")
    assert node is not None and set(node.properties) == {"compatible", "reg", "interrupts"}
    assert node.reg() == [Region(0x0C002000, 0x1000), Region(0x0C003000, 0x1000)]
    assert [(i.kind, i.number, i.flags) for i in node.interrupts()] == [("SPI", 113, 4)]
    assert tree.node("/platform-bus@c000000").compatible == ("qemu,platform", "simple-bus")  # type: ignore[union-attr]


def test_the_board_of_a_guest() -> None:
    board = firmware.describe(firmware.parse(guest_blob(channels(3), memory=64 << 20, cpus=2)))
    assert board.memory == (Region(0x40000000, 64 << 20),) and board.cpus == 2 and board.managements == ()
    assert [(c.trca.base, c.irq, c.desc_count, c.iommu) for c in board.channels] == [
        (0x0C000000, 144, None, None), (0x0C002000, 145, None, None), (0x0C004000, 146, None, None)]
    assert firmware.check(firmware.parse(guest_blob(channels(3)))) == []


def test_a_guest_boots_and_copies() -> None:
    with hidma.boot(guest_blob(channels(2), memory=32 << 20)) as machine:
        assert list(machine.devices()) == [
            ("psci", ""), ("platform-bus@c000000", ""), ("c000000.hidma.0", "hidma"),
            ("c002000.hidma.1", "hidma"), ("timer", "")]
        for name in machine.dma.names():
            with machine.dma.request_channel(name) as channel:
                source, target = machine.alloc(10000), machine.alloc(10000)
                source[:] = bytes(i & 0xFF for i in range(10000))
                channel.memcpy(target, source, 10000).wait()
                assert bytes(target) == bytes(source)
        # nothing says desc-count: V14 takes 10
        stats = machine.sysfs["/sys/kernel/debug/c000000.hidma.0/stats"]
        assert "nr_descriptors=10\n" in stats.replace(" ", "")


def test_a_guest_without_devices_and_a_name_of_acpi() -> None:
    assert firmware.describe(firmware.parse(guest_blob([]))).cores == ()
    bus = PlatformBus()
    bus.add("QCOM8061:00", HIDMA, PAGES, 1)
    with hidma.boot(guest_blob(bus.devices)) as machine:
        assert ("c000000.QCOM8061:00", "hidma") in list(machine.devices())


REFUSED = {
    "name": (lambda: PlatformBus().add("a/b", HIDMA, PAGES, 1),
             "guest: 'a/b' is no name of a device; one is made of letters, digits and , . _ + : -."),
    "compatible": (lambda: PlatformBus().add("a", (), PAGES, 1),
                   "guest: a: compatible is []; give at least one string, such as qcom,hidma-1.0, for the guest finds its "
                   "driver by it."),
    "regions": (lambda: PlatformBus().add("a", HIDMA, (), 1), "guest: a: it has no memory region; a channel has two."),
    "size": (lambda: PlatformBus().add("a", HIDMA, (0,), 1), "guest: a: a region of 0 bytes is none; give it one or more."),
    "large": (lambda: PlatformBus().add("a", HIDMA, (1 << 26,), 1),
              "guest: a: a region of 0x4000000 bytes does not fit into what is left of the platform bus (0xc000000 to "
              "0xdffffff); give the guest fewer devices."),
    "interrupts": (lambda: [PlatformBus().add("a", HIDMA, PAGES, 65)],
                   "guest: a: 2 regions and 65 interrupts are more than the 128 and 64 that a device may have."),
    "lines": (lambda: channels(65), "guest: hidma.64: 1 interrupts do not fit; of the 64 of the platform bus 0 are free."),
    "elsewhere": (lambda: guest_tree([GuestDevice("a", HIDMA, (Region(0x1000, 0x1000),), (112,))]),
                  "guest: a: 0x1000 to 0x1fff does not lie on pages of the platform bus (0xc000000 to 0xdffffff)."),
    "overlap": (lambda: guest_tree([GuestDevice(n, HIDMA, (Region(BUS.base, 0x1000),), (BUS_SPI + i,))
                                    for i, n in enumerate("ab")]),
                "guest: b: 0xc000000 to 0xc000fff overlaps 0xc000000 to 0xc000fff of a."),
    "line": (lambda: guest_tree([GuestDevice("a", HIDMA, (Region(BUS.base, 0x1000),), (5,))]),
             "guest: a: interrupt 5 is none of the platform bus's, which are 112 to 175."),
    "line twice": (lambda: guest_tree([GuestDevice("a", HIDMA, (Region(BUS.base, 0x1000),), (112, 112))]),
                   "guest: a: interrupt 112 is that of a already."),
    "memory": (lambda: guest_tree([], memory=1000),
               "guest: 1000 bytes of RAM are no whole number of 4 KiB pages that fit behind 0x40000000; give 268435456, say."),
    "cpus": (lambda: guest_tree([], cpus=0), "guest: 0 CPUs are none; give 1 to 64."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_guest_is_refused(case: str) -> None:
    function, expected = REFUSED[case]
    assert sentence(function) == expected


@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None,
                    reason="QEMU is not installed (apt-get install qemu-system-arm)")
def test_the_machine_is_qemus(tmp_path: Path) -> None:
    """The nodes that both have say the same; the frame buffer is the one device that makes QEMU write its platform bus."""
    subprocess.run(["qemu-system-aarch64", "-M", f"virt,dumpdtb={tmp_path / 'q.dtb'}", "-cpu", "cortex-a57", "-m", "256",
                    "-smp", "1", "-nic", "none", "-display", "none", "-device", "ramfb"], check=True, capture_output=True,
                   timeout=60)
    theirs, ours = firmware.load(tmp_path / "q.dtb"), guest_tree(channels(1))
    assert isinstance(theirs, firmware.Tree)
    ignored = {"phandle", "interrupt-parent", "kaslr-seed", "rng-seed", "model", "dma-coherent"}
    for node in ours.walk():
        if node.name.startswith("hidma") or node.name == "psci":
            continue
        other = theirs.node(node.path)
        if node.path.startswith("/platform-bus") and other is None:
            other = theirs.node("/platform@c000000")
        assert other is not None, node.path
        for key, value in node.properties.items():
            if key in ignored or (node.name.startswith("intc") and key == "#address-cells"):
                continue
            assert other.properties.get(key) == value, (node.path, key)
