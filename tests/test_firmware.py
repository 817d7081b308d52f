# SPDX-License-Identifier: GPL-2.0-only
"""hidma.firmware: blobs and sources read, boards described, and every bad board told in one sentence."""

import errno
import pickle
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hidma import firmware
from hidma.firmware import FirmwareError, Node, Region, Tree, text, u32, u64

DATA = Path(__file__).parent / "data" / "firmware"
MGMT = "/hidma-mgmt@f9984000"
FIRST = f"{MGMT}/hidma@5c050000"
SECOND = f"{MGMT}/hidma@5c060000"

TREES = ("host", "guest", "binding-example")
needs_dtc = pytest.mark.skipif(shutil.which("dtc") is None,
                               reason="dtc is not installed (apt-get install device-tree-compiler)")


def node(tree: Tree, path: str) -> Node:
    found = tree.node(path)
    assert found is not None, path
    return found


def dtc(*arguments: str | Path) -> str:
    """What dtc says while it succeeds."""
    done = subprocess.run(["dtc", *arguments], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def sentence(act: Callable[[], object]) -> str:
    """The one sentence that an action fails with."""
    with pytest.raises(FirmwareError) as caught:
        act()
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and said == caught.value.sentence
    return said


# The tree


def test_properties_are_read_as_cells_strings_and_numbers() -> None:
    tree = firmware.load("host")
    channel = node(tree, FIRST)
    assert channel.cells("interrupts") == [0, 389, 4]
    assert channel.strings("compatible") == ["qcom,hidma-1.0"]
    assert channel.number("desc-count") == 64
    assert channel.cells("nothing") == [] and channel.strings("nothing") == [] and channel.number("nothing") is None
    assert (channel.path, channel.basename, channel.unit_address) == (FIRST, "hidma", "5c050000")
    assert channel.parent is node(tree, "/hidma-mgmt") and tree.root.path == "/"
    assert [child.unit_address for child in node(tree, MGMT).children] == [
        "5c050000", "5c060000", "5c070000", "5c080000", "5c090000", "5c0a0000"]


def test_a_node_is_found_by_path_phandle_and_compatible() -> None:
    tree = firmware.load("host")
    smmu = node(tree, "/iommu@5a000000")
    assert smmu.phandle is not None and tree.by_phandle(smmu.phandle) is smmu
    assert tree.by_phandle(0x1234) is None
    assert tree.node("/no/such") is None
    assert tree.node(f"{MGMT}/hidma") is None, "six nodes have this name"
    assert len(tree.compatible("qcom,hidma-1.0")) == 6


@pytest.mark.parametrize(("status", "available"), [
    (None, True), (b"okay\0", True), (b"ok\0", True), (b"disabled\0", False), (b"okay2\0", False), (b"", False)])
def test_a_node_is_available_as_of_device_is_available_says(status: bytes | None, available: bool) -> None:
    tree = firmware.load("host")
    if status is not None:
        node(tree, MGMT).properties["status"] = status
    assert node(tree, MGMT).available is available
    assert node(tree, FIRST).available is True
    assert node(tree, FIRST).enabled is available


def test_a_name_property_wins_over_the_name_in_the_path() -> None:
    tree = firmware.load("binding-example")
    channel = node(tree, f"{MGMT}/dma-controller@5c050000")
    channel.properties["name"] = text("hidma")
    assert channel.basename == "hidma"
    assert firmware.explain_unbound(firmware.describe(tree)) == []


def test_reg_is_translated_through_every_bus_above() -> None:
    tree = firmware.load(DATA / "soc.dtb")
    channel = node(tree, "/soc/hidma-mgmt@8000000/hidma@9000000")
    assert channel.raw_reg() == [Region(0x9000000, 0x1000), Region(0x9001000, 0x1000)]
    assert channel.reg() == [Region(0x59000000, 0x1000), Region(0x59001000, 0x1000)]
    assert node(tree, "/memory@80000000").reg()[1] == Region(0x100000000, 0x10000800)
    assert node(tree, "/cpus/cpu@1").raw_reg() == [Region(1, 0)]


def test_cell_counts_come_from_the_nearest_node_above_that_says() -> None:
    tree = firmware.load("host")
    tree.root.add("bare").add("leaf@1", {"reg": u32(0, 1, 0, 2)})
    assert node(tree, "/bare/leaf").raw_reg() == [Region(1, 2)]
    del tree.root.properties["#address-cells"], tree.root.properties["#size-cells"]
    assert node(tree, "/bare/leaf").raw_reg() == [Region(0, 1), Region(0, 2)], "where none says, it is 1 and 1"


def test_interrupts_are_flat_numbers_of_the_gic() -> None:
    tree = firmware.load("host")
    (spi,) = node(tree, FIRST).interrupts()
    assert (spi.kind, spi.number, spi.flags, spi.line, spi.edge) == ("SPI", 389, 4, 421, False)
    assert spi.controller is node(tree, "/interrupt-controller")
    ppis = node(tree, "/timer").interrupts()
    assert [(ppi.kind, ppi.number, ppi.flags, ppi.line) for ppi in ppis] == [
        ("PPI", 13, 8, 29), ("PPI", 14, 8, 30), ("PPI", 11, 8, 27), ("PPI", 10, 8, 26)]


def test_interrupts_extended_names_its_controller_and_wins() -> None:
    tree = firmware.load(DATA / "soc.dtb")
    channel = node(tree, "/hidma@8ff00000")
    channel.properties["interrupts"] = u32(0, 99, 4)
    assert [interrupt.line for interrupt in channel.interrupts()] == [62]


@pytest.mark.parametrize(("cells", "line", "flags"), [((7,), 7, 0), ((7, 4), 7, 4)])
def test_a_controller_with_one_or_two_cells_gives_plain_numbers(cells: tuple[int, ...], line: int, flags: int) -> None:
    tree = firmware.load("guest")
    node(tree, "/interrupt-controller").properties["#interrupt-cells"] = u32(len(cells))
    channel = node(tree, "/hidma")
    channel.properties["interrupts"] = u32(*cells)
    assert [(i.kind, i.line, i.flags) for i in channel.interrupts()] == [("IRQ", line, flags)]


def test_iommus_gives_the_iommu_and_the_streams_cells() -> None:
    (reference,) = node(firmware.load(DATA / "soc.dtb"), "/soc/hidma-mgmt/hidma@9000000").iommus()
    assert reference.node.path == "/soc/iommu@1000000" and reference.arguments == (7, 0xFF)


# Reading and writing blobs


@pytest.mark.parametrize("path", ["host", "guest", "binding-example", DATA / "soc.dtb"])
def test_what_dump_writes_parse_reads_back_alike(path: str | Path) -> None:
    tree = firmware.load(path)
    again = firmware.parse(firmware.dump(tree))
    assert [(n.path, n.properties) for n in again.walk()] == [(n.path, n.properties) for n in tree.walk()]
    assert again.reservations == tree.reservations and again.boot_cpuid == tree.boot_cpuid
    assert firmware.dump(again) == firmware.dump(tree)


@pytest.mark.parametrize("name", TREES)
def test_dump_writes_the_bytes_that_dtc_wrote(name: str) -> None:
    assert firmware.dump(firmware.load(name)) == firmware.bundled(name).read_bytes()


@needs_dtc
def test_dtc_reads_a_generated_blob(tmp_path: Path) -> None:
    tree = Tree(Node(""), reservations=[Region(0x40000000, 0x1000)])
    tree.root.properties.update({"#address-cells": u32(2), "#size-cells": u32(2), "model": text("made here")})
    memory = tree.root.add("memory@40000000", {"device_type": text("memory"), "reg": u64(0x40000000, 0x1000000)})
    tree.root.properties["chosen-memory"] = u32(tree.refer(memory))
    assert tree.refer(memory) == tree.refer(memory) == memory.phandle
    (tmp_path / "made.dtb").write_bytes(firmware.dump(tree))
    dtc("-q", "-I", "dtb", "-O", "dts", "-o", tmp_path / "made.dts", tmp_path / "made.dtb")
    assert firmware.dump(firmware.load(tmp_path / "made.dts")) == firmware.dump(tree)


def test_dump_refuses_a_tree_that_is_no_blob() -> None:
    tree = Tree(Node(""), "made")
    tree.root.add("two words")
    assert sentence(lambda: firmware.dump(tree)) == (
        "made: offset 0x44: the name of a node has a character that no name has.")


def test_version_16_and_memory_reservations_are_read() -> None:
    assert struct.unpack_from(">I", (DATA / "soc.dtb").read_bytes(), 20) == (16,)
    tree = firmware.load(DATA / "soc.dtb")
    assert tree.reservations == [Region(0x80000000, 0x1000)]
    assert len(tree.compatible("qcom,hidma-1.0")) == 4


def test_bytes_behind_the_blob_are_ignored() -> None:
    blob = firmware.bundled("guest").read_bytes()
    assert firmware.dump(firmware.parse(blob + b"padding")) == blob


# Boards


@needs_dtc
@pytest.mark.parametrize("name", TREES)
def test_a_bundled_source_and_blob_agree(name: str) -> None:
    compiled = firmware.load(firmware.bundled(name, ".dts"))
    assert firmware.dump(compiled) == firmware.bundled(name).read_bytes()


@needs_dtc
def test_the_test_boards_source_and_blob_agree() -> None:
    assert firmware.dump(firmware.load(DATA / "soc.dts")) == firmware.dump(firmware.load(DATA / "soc.dtb"))


@needs_dtc
@pytest.mark.parametrize("name", TREES)
def test_dtc_compiles_a_bundled_source_without_a_warning(name: str, tmp_path: Path) -> None:
    said = dtc("-I", "dts", "-O", "dtb", "-o", tmp_path / "out.dtb", firmware.bundled(name, ".dts"))
    assert said == ""


def test_the_host_has_six_channels_each_with_a_stream() -> None:
    board = firmware.describe(firmware.load("host"))
    assert board.memory == (Region(0x80000000, 256 << 20),) and board.cpus == 8
    (management,) = board.managements
    assert management.reg == Region(0xF9984000, 0x15000)
    assert (management.path, management.irq, management.dma_channels, management.core) == (MGMT, 420, 6, 0)
    assert management.properties["channel-reset-timeout-cycles"] == u32(0x500)
    assert [c.trca for c in board.channels] == [Region(0x5C050000 + i * 0x10000, 0x1000) for i in range(6)]
    assert [c.evca for c in board.channels] == [Region(0x5C0B0000 + i * 0x10000, 0x1000) for i in range(6)]
    assert [c.irq for c in board.channels] == [421, 422, 423, 424, 425, 426]
    assert [c.stream for c in board.channels] == [24, 25, 26, 27, 28, 29]
    assert [c.index for c in board.channels] == [0, 1, 2, 3, 4, 5]
    assert {(c.name, c.core, c.management, c.iommu, c.desc_count) for c in board.channels} == {
        ("hidma", 0, MGMT, "/iommu@5a000000", 64)}
    assert board.cores[0].size == 6 and len(board.cores) == 1
    assert board.iommu is not None and board.iommu.names == ("arm,mmu-500",)
    assert board.interrupt_controller is not None and board.interrupt_controller.names == ("arm,gic-v3",)
    assert [(d.path, d.regs, d.irqs) for d in board.other] == [("/psci", (), ()), ("/timer", (), ())]
    assert firmware.check(board.tree) == [] and firmware.explain_unbound(board) == []


def test_the_guest_has_one_channel_at_the_root_of_a_core_set_up_already() -> None:
    board = firmware.describe(firmware.load("guest"))
    assert board.memory == (Region(0x40000000, 256 << 20),) and board.cpus == 1
    assert board.managements == () and board.iommu is None
    (core,) = board.cores
    assert core.management is None and core.size == 1
    (channel,) = board.channels
    assert (channel.path, channel.management, channel.irq, channel.index) == ("/hidma@c000000", None, 144, 0)
    assert (channel.trca, channel.evca) == (Region(0xC000000, 0x1000), Region(0xC001000, 0x1000))
    assert (channel.stream, channel.iommu) == (0, None)
    assert board.interrupt_controller is not None
    assert board.interrupt_controller.names == ("arm,cortex-a15-gic",)
    assert firmware.check(board.tree) == [] and firmware.explain_unbound(board) == []


def test_the_bindings_example_is_described_and_its_unbound_channel_explained() -> None:
    board = firmware.describe(firmware.load("binding-example"))
    (channel,) = board.channels
    assert (channel.name, channel.trca.base, channel.evca.base) == ("dma-controller", 0x5C050000, 0x5C0B0000)
    assert channel.desc_count == 10 and channel.iommu == "/iommu@5a000000"
    assert board.cores[0].size == 6
    assert firmware.check(board.tree) == []
    assert firmware.explain_unbound(board) == [
        "binding-example.dtb: node /hidma-mgmt@f9984000/dma-controller@5c050000: V14 creates the device "
        "dma-controller.0 and no driver binds to it, because the device has no of_node and only the name hidma "
        "matches (row 27); rename the node to hidma@5c050000."]


def test_unbound_devices_are_numbered_as_v14_counts_them() -> None:
    tree = firmware.load("host")
    node(tree, f"{MGMT}/hidma@5c060000").name = "dma@5c060000"
    node(tree, f"{MGMT}/hidma@5c070000").properties["status"] = text("disabled")
    node(tree, f"{MGMT}/hidma@5c0a0000").name = "hidma_29"
    said = firmware.explain_unbound(firmware.describe(tree))
    assert [s.split(": ", 2)[1:] for s in said] == [
        [f"node {MGMT}/dma@5c060000", "V14 creates the device dma.1 and no driver binds to it, because the device has "
         "no of_node and only the name hidma matches (row 27); rename the node to hidma@5c060000."],
        [f"node {MGMT}/hidma_29", "V14 creates the device hidma_29.4 and no driver binds to it, because the device has "
         "no of_node and only the name hidma matches (row 27); rename the node to hidma."]]


def test_a_channel_outside_a_management_node_may_have_any_name() -> None:
    tree = firmware.load("guest")
    node(tree, "/hidma").name = "dma-controller@c000000"
    board = firmware.describe(tree)
    assert board.channels[0].name == "dma-controller" and firmware.explain_unbound(board) == []


def test_an_unusual_board_is_described() -> None:
    board = firmware.describe(firmware.load(DATA / "soc.dtb"))
    assert board.memory == (Region(0x80000000, 0xFF00000), Region(0x8FF02000, 0xFE000), Region(0x100000000, 0x10000000))
    assert board.cpus == 2
    assert [(c.path.rsplit("/", 1)[1], c.index, c.irq, c.stream, c.iommu) for c in board.channels] == [
        ("hidma@9000000", 0, 43, 7, "/soc/iommu@1000000"),
        ("hidma@9020000", 2, 44, 0, None),
        ("dma-controller@9030000", 3, 45, 1, None),
        ("hidma@8ff00000", 4, 62, 2, None)]
    assert {c.core for c in board.channels} == {0} and board.cores[0].size == 8
    assert board.managements[0].reg == Region(0x58000000, 0x15000)
    assert [(d.path, d.names, d.irqs, d.stream) for d in board.other if d.irqs] == [
        ("/soc/xgmac@a000000", ("amd,xgbe-seattle-v1a",), (52, 53), None),
        ("/soc/ethernet@b000000", ("calxeda,hb-xgmac",), (54,), None)]
    assert next(d for d in board.other if d.irqs).regs == (
        Region(0x5A000000, 0x80000), Region(0x5A080000, 0x80000), Region(0x5A100800, 0x400))


def test_a_board_without_cpu_nodes_has_eight_as_a_host_and_one_as_a_guest() -> None:
    for name, count in (("host", 8), ("guest", 1), ("binding-example", 8)):
        tree = firmware.load(name)
        tree.root.children = [child for child in tree.root.children if child.name != "cpus"]
        assert firmware.describe(tree).cpus == count


def test_a_disabled_management_node_leaves_its_channels_to_a_core_set_up_already() -> None:
    tree = firmware.load("host")
    node(tree, MGMT).properties["status"] = text("disabled")
    board = firmware.describe(tree)
    assert board.managements == () and len(board.channels) == 6
    assert board.cores[0].management is None and board.channels[5].index == 5


def test_two_management_nodes_are_two_cores() -> None:
    tree = firmware.load("host")
    second = tree.root.add("hidma-mgmt@f99a0000", dict(node(tree, MGMT).properties))
    second.properties.update({"reg": u64(0xF99A0000, 0x15000), "interrupts": u32(0, 400, 4), "dma-channels": u32(64)})
    second.add("hidma@5d000000", {"compatible": text("qcom,hidma-1.0"), "interrupts": u32(0, 401, 4),
                                  "reg": u64(0x5D000000, 0x1000, 0x5D001000, 0x1000)})
    board = firmware.describe(tree)
    assert [core.size for core in board.cores] == [6, 64]
    assert (board.channels[6].core, board.channels[6].index, board.channels[6].stream) == (1, 0, 0)


def test_two_devices_may_share_a_level_line() -> None:
    tree = firmware.load("host")
    node(tree, SECOND).properties["interrupts"] = u32(0, 388, 4)
    board = firmware.describe(tree)
    assert board.channels[1].irq == board.managements[0].irq == 420


def test_a_management_node_without_ranges_counts_as_one_to_one_as_v14_reads_it() -> None:
    tree = firmware.load("host")
    del node(tree, MGMT).properties["ranges"]
    assert firmware.describe(tree).channels[0].trca == Region(0x5C050000, 0x1000)


def test_properties_that_only_v14_asks_for_do_not_keep_a_board_from_being_built() -> None:
    tree = firmware.load("host")
    management = node(tree, MGMT)
    for name in ("dma-channels", "channel-reset-timeout-cycles", "max-write-burst-bytes", "max-read-burst-bytes",
                 "max-write-transactions", "max-read-transactions"):
        del management.properties[name]
    board = firmware.describe(tree)
    assert board.managements[0].dma_channels is None and board.cores[0].size == 6
    assert [said.split(": ", 2)[1] for said in firmware.check(tree)] == [
        f"node {MGMT}, property {name}" for name in (
            "dma-channels", "channel-reset-timeout-cycles", "max-write-burst-bytes", "max-read-burst-bytes",
            "max-write-transactions", "max-read-transactions")]


# What is wrong with a board, word for word


def put(path: str, name: str, value: bytes) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        node(tree, path).properties[name] = value
    return change


def drop(path: str, name: str) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        del node(tree, path).properties[name]
    return change


def drop_memory(tree: Tree) -> None:
    tree.root.children = [child for child in tree.root.children if child.basename != "memory"]


def many_channels(tree: Tree) -> None:
    for i in range(65):
        tree.root.add(f"hidma@{i:x}", {"compatible": text("qcom,hidma-1.0")})


def two_controllers(tree: Tree) -> None:
    other = tree.root.add("pic", {"interrupt-controller": b"", "#interrupt-cells": u32(1)})
    node(tree, FIRST).properties["interrupts-extended"] = u32(tree.refer(other), 5)


def bus_without_ranges(tree: Tree) -> None:
    bus = tree.root.add("bus")
    bus.add("hidma@0", {"compatible": text("qcom,hidma-1.0"), "reg": u64(0, 0x1000, 0x1000, 0x1000)})


def many_memories(tree: Tree) -> None:
    for i in range(600):
        tree.root.add(f"memory@{i:x}", {"device_type": text("memory"), "reg": u64(i << 32, 0x1000)})


def loop_of_controllers(tree: Tree) -> None:
    a, b = tree.root.add("a"), tree.root.add("b")
    a.properties["interrupt-parent"] = u32(tree.refer(b))
    b.properties["interrupt-parent"] = u32(tree.refer(a))
    node(tree, FIRST).properties["interrupt-parent"] = u32(tree.refer(a))


REG = f"node {FIRST}, property reg: "
IRQ = f"node {FIRST}, property interrupts: "
IOMMUS = f"node {FIRST}, property iommus: "

BAD = {
    "no reg on a channel": (drop(FIRST, "reg"), REG + (
        "it is missing; it says at which address the registers stand.")),
    "no reg on a management node": (drop(MGMT, "reg"), f"node {MGMT}, property reg: " + (
        "it is missing; it says at which address the registers stand.")),
    "cell count": (put(FIRST, "reg", u32(0, 0x5C050000, 0)), REG + (
        "3 cells do not fit regions of 2 address and 2 size cells each, as #address-cells and #size-cells above it "
        "say.")),
    "broken cell": (put(FIRST, "reg", bytes(15)), REG + "15 bytes are no whole number of cells; a cell has 4 bytes."),
    "one region": (put(FIRST, "reg", u64(0x5C050000, 0x1000)), REG + (
        "it gives one region; a channel has two, its transfer channel and its event channel.")),
    "no region": (put(FIRST, "reg", b""), REG + (
        "it gives no region; a channel has two, its transfer channel and its event channel.")),
    "empty management reg": (put(MGMT, "reg", b""), f"node {MGMT}, property reg: " + (
        "it gives no region; a management block has one.")),
    "small region": (put(FIRST, "reg", u64(0x5C050000, 0x800, 0x5C0B0000, 0x1000)), REG + (
        "0x5c050000 with 0x800 bytes is not made of whole 4 KiB pages; give a base and a size that are multiples of "
        "0x1000.")),
    "unaligned region": (put(MGMT, "reg", u64(0xF9984100, 0x15000)), f"node {MGMT}, property reg: " + (
        "0xf9984100 with 0x15000 bytes is not made of whole 4 KiB pages; give a base and a size that are multiples of "
        "0x1000.")),
    "overlap of two channels": (put(SECOND, "reg", u64(0x5C060000, 0x1000, 0x5C0B0000, 0x1000)), (
        f"node {SECOND}, property reg: 0x5c0b0000 to 0x5c0b0fff overlaps 0x5c0b0000 to 0x5c0b0fff of {FIRST}; give "
        "every register block addresses of its own.")),
    "overlap inside a channel": (put(FIRST, "reg", u64(0x5C050000, 0x2000, 0x5C051000, 0x1000)), REG + (
        "0x5c051000 to 0x5c051fff overlaps 0x5c050000 to 0x5c051fff of the same reg; give every register block "
        "addresses of its own.")),
    "overlap with RAM": (put(FIRST, "reg", u64(0x5C050000, 0x1000, 0x80000000, 0x1000)), REG + (
        "0x80000000 to 0x80000fff overlaps the RAM at 0x80000000 to 0x8fffffff; give the registers addresses outside "
        "every memory node.")),
    "beyond 48 bits": (put(FIRST, "reg", u64(1 << 48, 0x1000, 0x5C0B0000, 0x1000)), REG + (
        "0x1000000000000 with 0x1000 bytes passes the end of 48-bit physical addresses.")),
    "beyond 64 bits": (put(FIRST, "reg", u64((1 << 64) - 1, 0x1000, 0x5C0B0000, 0x1000)), REG + (
        "the region at 0xffffffffffffffff with 0x1000 bytes passes the end of 64-bit addresses.")),
    "very long reg": (put(FIRST, "reg", bytes(4096)), REG + "4096 bytes are more than the 1024 that are read."),
    "three address cells": (put(MGMT, "#address-cells", u32(3)), f"node {MGMT}, property #address-cells: " + (
        "3 cells are more than the 2 of a 64-bit number.")),
    "no address cells": (put(MGMT, "#address-cells", u32(0)), REG + (
        "8 cells do not fit regions of 0 address and 2 size cells each, as #address-cells and #size-cells above it "
        "say.")),
    "two cells for a count": (put(MGMT, "#size-cells", u32(1, 1)), f"node {MGMT}, property #size-cells: " + (
        "2 cells stand where one is right.")),
    "no window": (put(MGMT, "ranges", u64(0, 0, 0x1000)), REG + (
        f"0x5c050000 with 0x1000 bytes lies in no window of the ranges of {MGMT}.")),
    "broken ranges": (put(MGMT, "ranges", u32(1, 2, 3)), f"node {MGMT}, property ranges: " + (
        "3 cells do not fit windows of 2 child address, 2 parent address and 2 size cells.")),
    "no ranges": (bus_without_ranges, (
        "node /bus, property ranges: it is missing, so the addresses of /bus/hidma@0 mean nothing outside; an "
        "empty ranges passes them on unchanged.")),
    "no interrupt on a channel": (drop(FIRST, "interrupts"), IRQ + (
        "it is missing and the driver asks for an interrupt; give one, such as <0 389 4>.")),
    "no interrupt on a management node": (drop(MGMT, "interrupts"), f"node {MGMT}, property interrupts: " + (
        "it is missing and the driver asks for an interrupt; give one, such as <0 389 4>.")),
    "empty interrupts": (put(FIRST, "interrupts", b""), IRQ + (
        "it is empty and the driver asks for an interrupt; give one, such as <0 389 4>.")),
    "interrupt cells": (put(FIRST, "interrupts", u32(0, 389)), IRQ + (
        "2 cells do not fit the 3 of each interrupt of /interrupt-controller@f9000000 (#interrupt-cells).")),
    "interrupt type": (put(FIRST, "interrupts", u32(2, 389, 4)), IRQ + (
        "interrupt type 2 is neither 0 (SPI) nor 1 (PPI).")),
    "interrupt number": (put(FIRST, "interrupts", u32(0, 988, 4)), IRQ + (
        "SPI 988 does not exist; a GIC has SPIs 0 to 987.")),
    "private interrupt": (put(FIRST, "interrupts", u32(1, 9, 4)), IRQ + (
        "PPI 9 belongs to one CPU; give a shared one (SPI), whose first cell is 0.")),
    "shared edge": (put(SECOND, "interrupts", u32(0, 389, 1)), f"node {SECOND}, property interrupts: " + (
        f"SPI 389 is the line of {FIRST} too, and an edge cannot be shared; give it a line of its own, or make both "
        "level (4).")),
    "no controller": (drop("/", "interrupt-parent"), f"node {MGMT}, property interrupts: " + (
        "no interrupt controller is found; set interrupt-parent here or above.")),
    "not a controller": (put(FIRST, "interrupts-extended", u32(0x77, 0, 1, 4)), (
        f"node {FIRST}, property interrupts-extended: no node has the phandle 0x77 that it names.")),
    "interrupt map": (drop("/interrupt-controller", "interrupt-controller"), f"node {MGMT}, property interrupts: " + (
        "/interrupt-controller@f9000000 is no interrupt-controller; name the controller itself, interrupt maps are "
        "not supported.")),
    "controllers in a circle": (loop_of_controllers, (
        f"node {FIRST}, property interrupt-parent: no controller is found in 64 steps; name the controller here.")),
    "two controllers": (two_controllers, (
        f"node {FIRST}, property interrupts-extended: it goes to /pic and others go to "
        "/interrupt-controller@f9000000; a board has one interrupt controller.")),
    "too many channels promised": (put(MGMT, "dma-channels", u32(65)), f"node {MGMT}, property dma-channels: " + (
        "65 channels are more than the hardware has; a core has 1 to 64.")),
    "too many channels": (many_channels, (
        "node /hidma@3a: it is channel 64 of its core, counted from 0; a core has 64 at most.")),
    "no IOMMU behind the phandle": (put(FIRST, "iommus", u32(0x77, 1)), IOMMUS + (
        "no node has the phandle 0x77 that it names.")),
    "no stream": (lambda tree: put(FIRST, "iommus", u32(tree.refer(node(tree, "/iommu"))))(tree), IOMMUS + (
        "/iommu@5a000000 has #iommu-cells 1, and behind its phandle stand 0.")),
    "two streams": (lambda tree: put(FIRST, "iommus", u32(*[tree.refer(node(tree, "/iommu")), 1] * 2))(tree), IOMMUS + (
        "2 streams are named; a channel is one stream.")),
    "a stream twice": (lambda tree: put(SECOND, "iommus", node(tree, FIRST).properties["iommus"])(tree), (
        f"node {SECOND}, property iommus: stream 24 is the stream of {FIRST} already; each channel needs its own.")),
    "not an IOMMU": (lambda tree: put(FIRST, "iommus", u32(tree.refer(node(tree, "/psci")), 1))(tree), IOMMUS + (
        "it names /psci, which has no #iommu-cells.")),
    "a disabled IOMMU": (put("/iommu", "status", text("disabled")), IOMMUS + (
        "/iommu@5a000000 is disabled; enable it or leave iommus out.")),
    "no usable memory": (lambda tree: tree.root.add("reserved-memory").add(
        "all", {"no-map": b"", "reg": u64(0, 1 << 40)}) and None, (
        "node /: its reserved-memory takes all RAM away with no-map; leave some.")),
    "hundreds of memories": (many_memories, (
        "node /memory@1f8: it is one node too many; a board has at most 512 with a reg of its own.")),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_board_gets_its_sentence(case: str) -> None:
    change, said = BAD[case]
    tree = firmware.load("host")
    change(tree)
    expected = f"host.dtb: {said}"
    assert sentence(lambda: firmware.describe(tree)) == expected
    assert firmware.check(tree) == [expected]


ODD = {
    "missing property": (drop(MGMT, "max-read-transactions"), [
        f"node {MGMT}, property max-read-transactions: it is missing and V14's probe fails without it; give 0 to 31."]),
    "missing channels": (drop(MGMT, "dma-channels"), [
        f"node {MGMT}, property dma-channels: it is missing and V14's probe fails without it; give the number of "
        "channels of the core, 1 to 64."]),
    "short property": (put(MGMT, "max-write-burst-bytes", b"\4\0"), [
        f"node {MGMT}, property max-write-burst-bytes: it is shorter than one cell and V14's probe fails; give a "
        "power of two from 128 to 1024."]),
    "long property": (put(MGMT, "max-write-burst-bytes", u32(1024, 0)), [
        f"node {MGMT}, property max-write-burst-bytes: it is longer than one cell and V14 reads the first only; "
        "give a power of two from 128 to 1024."]),
    "burst": (put(MGMT, "max-read-burst-bytes", u32(200)), [
        f"node {MGMT}, property max-read-burst-bytes: 200 is refused by V14's probe; give a power of two from 128 to "
        "1024."]),
    "transactions": (put(MGMT, "max-write-transactions", u32(32)), [
        f"node {MGMT}, property max-write-transactions: 32 is refused by V14's probe; give 0 to 31."]),
    "reset time": (put(MGMT, "channel-reset-timeout-cycles", u32(0x100000)), [
        f"node {MGMT}, property channel-reset-timeout-cycles: 0x100000 is cut to its lower 20 bits by V14; give "
        "0xfffff at most."]),
    "few channels": (put(MGMT, "dma-channels", u32(2)), [
        f"node {MGMT}, property dma-channels: 2 is too few for the channels seen here, which are 6, so not every one "
        "gets a weight and a priority in sysfs; give 6 or more."]),
    "few descriptors": (put(FIRST, "desc-count", u32(3)), [
        f"node {FIRST}, property desc-count: 3 is less than the 4 that a ring needs, and V14 defers its probe for "
        "ever (row 51); give 4 or more."]),
    "half a descriptor count": (put(FIRST, "desc-count", b"\3"), [
        f"node {FIRST}, property desc-count: it is shorter than one cell, and V14 takes its default of 10; give a "
        "number such as 64."]),
    "edge": (put(FIRST, "interrupts", u32(0, 389, 1)), [
        f"node {FIRST}, property interrupts: it asks for an edge and the channel's line is a level; give 4 as the "
        "last cell."]),
    "one line for two": (put(SECOND, "interrupts", u32(0, 389, 4)), [
        f"node {SECOND}, property interrupts: {FIRST} has the same line, and V14 does not request it shared, so the "
        "second probe fails with -16 (EBUSY); give it its own line."]),
    "no iommus": (drop(FIRST, "iommus"), [
        f"node {FIRST}, property iommus: it is missing, so /iommu@5a000000 does not translate this channel and it "
        "cannot be given to a guest; name the IOMMU and a stream of its own."]),
    "a child that is no channel": (lambda tree: node(tree, MGMT).add(
        "led", {"reg": u64(0, 0), "interrupts": u32(0, 1, 4)}) and None, [
        f"node {MGMT}/led, property compatible: it is no channel, and V14 creates a device led.6 for every child of a "
        "management node; move the node elsewhere."]),
    "a child where V14 stops": (lambda tree: node(tree, MGMT).children.insert(2, Node(
        "led", {"interrupts": u32(0, 1, 4)}, parent=node(tree, MGMT))), [
        f"node {MGMT}/led, property reg: it is missing or cannot be read, and V14 stops here: no device is created "
        f"for this child of {MGMT} and those behind it (row 48); complete or disable it."]),
    "addresses that V14 does not translate": (put(MGMT, "ranges", u64(0, 1 << 32, 1 << 32)), [
        f"node {MGMT}/hidma@5c0{i}0000, property reg: V14 takes 0x5c0{i}0000 as it stands and does not apply the "
        f"ranges above it, which make it 0x15c0{i}0000; let the ranges be one to one." for i in "56789a"]),
    "a later channel": (lambda tree: tree.root.add("hidma@1", {"compatible": text("qcom,hidma-1.2")}) and None, [
        "node /hidma@1, property compatible: V14 knows only qcom,hidma-1.0, so no driver binds; add that string if "
        "the hardware is compatible with it."]),
}


@pytest.mark.parametrize("case", ODD)
def test_what_v14_stumbles_over_is_said_and_the_board_is_built(case: str) -> None:
    change, said = ODD[case]
    tree = firmware.load("host")
    change(tree)
    assert firmware.describe(tree).managements
    assert firmware.check(tree) == [f"host.dtb: {one}" for one in said]


def test_a_board_without_hidma_is_built_and_it_is_said() -> None:
    tree = firmware.load("guest")
    tree.root.children = [child for child in tree.root.children if child.basename != "hidma"]
    assert firmware.describe(tree).cores == ()
    assert firmware.check(tree) == [
        "guest.dtb: node /: no enabled node is compatible with qcom,hidma-mgmt-1.0 or qcom,hidma-1.0, so the machine "
        "has no DMA channel; add one."]


# RAM, as a boot loader finds it


def drop_registers(tree: Tree) -> None:
    drop_memory(tree)
    tree.root.add("far@80000000", {"compatible": text("a,b"), "reg": u64(0x8FFFF000, 0x1000)})


@pytest.mark.parametrize(("change", "memory", "note"), [
    (drop_memory, Region(0x80000000, 256 << 20), "node /: it names no RAM, which a boot loader fills in: hidma gives 0x80000000 to "
     "0x8fffffff; --memory SIZE@ADDRESS gives another."),
    (drop_registers, Region(0x90000000, 256 << 20), "node /: it names no RAM, which a boot loader fills in: hidma gives 0x90000000 "
     "to 0x9fffffff; --memory SIZE@ADDRESS gives another."),
    (drop("/memory", "reg"), Region(0x80000000, 256 << 20), "node /: it names no RAM, which a boot loader fills in: hidma gives "
     "0x80000000 to 0x8fffffff; --memory SIZE@ADDRESS gives another."),
    (put("/memory", "reg", u64(0, 0)), Region(0x80000000, 256 << 20), "node /: it names no RAM, which a boot loader fills in: "
     "hidma gives 0x80000000 to 0x8fffffff; --memory SIZE@ADDRESS gives another."),
    (drop("/memory", "device_type"), Region(0x80000000, 256 << 20), "node /memory@80000000, property device_type: it is missing, "
     'so a kernel finds no RAM here; hidma, as the boot loader, sets it to "memory".'),
    (put("/memory", "reg", u64(0x80000000, 0x2000, 0x80001000, 0x2000)), Region(0x80000000, 0x3000), ""),
], ids=["none", "first free place", "no reg", "size 0", "no type", "twice"])
def test_ram_is_what_a_boot_loader_makes_of_the_tree(change: Callable[[Tree], None], memory: Region, note: str) -> None:
    tree = firmware.load("host")
    change(tree)
    assert firmware.describe(tree).memory == (memory,)
    assert firmware.check(tree) == ([f"host.dtb: {note}"] if note else [])


@pytest.mark.parametrize(("asked", "memory"), [
    ("512M@0x100000000", Region(1 << 32, 512 << 20)), ("0x10000000", Region(0x80000000, 256 << 20)),
    ("1g", Region(0x80000000, 1 << 30)), ("4096k@0", Region(0, 4 << 20)),
])
def test_ram_that_is_asked_for_takes_the_place_of_the_tree_s(asked: str, memory: Region) -> None:
    tree = firmware.load("host")
    assert firmware.describe(tree, firmware.ram_request(asked)).memory == (memory,)


@pytest.mark.parametrize("asked", ["", "much", "-1", "4k", "1M@0x10", "1M@0xffffffffffff", "1T", "0x", "1M@", "1.5G"])
def test_ram_that_is_none_is_a_sentence(asked: str) -> None:
    assert sentence(lambda: firmware.ram_request(asked)).startswith(f"memory: {asked!r} is ")


def test_ram_that_is_asked_for_may_not_lie_on_a_channel() -> None:
    tree = firmware.load("host")
    assert "overlaps the RAM at 0x5c000000" in sentence(lambda: firmware.describe(tree, firmware.ram_request("16M@0x5c000000")))


def test_ram_gives_way_to_registers_that_lie_in_it() -> None:
    tree = firmware.load("host")
    tree.root.add("gpio@8f000000", {"compatible": text("a,b"), "reg": u64(0x8F000010, 0x20)})
    tree.root.add("framebuffer@80000000", {"compatible": text("a,c"), "reg": u64(0x80000000, 0x10000000)})
    board = firmware.describe(tree)
    assert board.memory == (Region(0x80000000, 0xF000000), Region(0x8F001000, 0xFFF000))
    assert board.notes == ("host.dtb: node /: the registers of /gpio@8f000000 and 1 more lie in its RAM, which gives way to them "
                           "here, as a boot loader makes it.",)


# Devices beside HIDMA: nothing of theirs refuses a board


def other(tree: Tree, path: str) -> firmware.Device:
    return next(device for device in firmware.describe(tree).other if device.path == path)


def test_a_device_s_group_is_the_stream_that_it_names() -> None:
    tree = firmware.load("host")
    smmu = node(tree, "/iommu")
    for number, stream in enumerate((70, 71, 70, 24)):
        tree.root.add(f"net@{number}", {"compatible": text("a,b"), "iommus": u32(tree.refer(smmu), stream)})
    devices = [device for device in firmware.describe(tree).other if device.names == ("a,b",)]
    assert [device.iommu for device in devices] == ["/iommu@5a000000"] * 4
    first, second, third, fourth = (device.stream for device in devices)
    assert first == third != second and fourth == 24


def test_any_node_with_iommu_cells_is_an_iommu() -> None:
    tree = firmware.load("host")
    mmu = tree.root.add("sysmmu@1000", {"compatible": text("samsung,exynos-sysmmu"), "#iommu-cells": u32(0),
                                        "reg": u64(0x1000, 0x1000)})
    tree.root.add("fimd@2000", {"compatible": text("a,b"), "iommus": u32(tree.refer(mmu))})
    assert other(tree, "/fimd@2000").iommu == "/sysmmu@1000" and other(tree, "/fimd@2000").stream is not None
    put("/iommu", "compatible", text("acme,mmu"))(tree)
    assert firmware.describe(tree).channels[0].iommu == "/iommu@5a000000"


@pytest.mark.parametrize(("value", "said"), [
    (u32(0x77, 1), "no node has the phandle 0x77 that it names; no IOMMU translates for this device, and it cannot be given to "
     "a guest."),
    (b"abc", "3 bytes are no whole number of cells; a cell has 4 bytes; no IOMMU translates for this device, and it cannot be "
     "given to a guest."),
])
def test_a_stream_of_no_iommu_is_a_note_and_no_group(value: bytes, said: str) -> None:
    tree = firmware.load("host")
    tree.root.add("net@1", {"compatible": text("a,b"), "iommus": value})
    assert other(tree, "/net@1").stream is None
    assert firmware.check(tree) == [f"host.dtb: node /net@1, property iommus: {said}"]


def test_what_is_not_built_refuses_nothing() -> None:
    tree = firmware.load("host")
    pic = tree.root.add("pic@1000", {"interrupt-controller": b"", "#interrupt-cells": u32(1), "reg": u64(0x80000000, 0x1000)})
    tree.root.add("spi@2000", {"compatible": text("a,spi"), "reg": u64(0x2000, 0x1000), "#address-cells": u32(1),
                               "#size-cells": u32(0)}).add("flash@0", {"compatible": text("a,flash"), "reg": u32(0)})
    tree.root.add("odd@3000", {"compatible": text("a,odd"), "reg": u32(1), "interrupts": u32(7, 7)})
    tree.root.add("same@2000", {"compatible": text("a,same"), "reg": u64(0x2000, 0x1000), "interrupts-extended": u32(
        tree.refer(pic), 3)})
    tree.root.add("chan@5c050000", {"compatible": text("a,chan"), "reg": u64(0x5C050000, 0x1000)})
    board = firmware.describe(tree)
    assert len(board.channels) == 6 and firmware.check(tree) == []
    assert [(d.path, d.regs, d.irqs) for d in board.other if d.names[0].startswith("a,")] == [
        ("/spi@2000", (Region(0x2000, 0x1000),), ()), ("/odd@3000", (), ()), ("/same@2000", (Region(0x2000, 0x1000),), ()),
        ("/chan@5c050000", (Region(0x5C050000, 0x1000),), ())]


def test_interrupts_pass_a_stacked_controller() -> None:
    tree = firmware.load("host")
    gic = node(tree, "/interrupt-controller")
    gpc = tree.root.add("gpc@1000", {"compatible": text("fsl,imx6q-gpc"), "interrupt-controller": b"", "#interrupt-cells": u32(3),
                                     "interrupt-parent": u32(tree.refer(gic))})
    tree.root.add("uart@2000", {"compatible": text("a,b"), "interrupt-parent": u32(tree.refer(gpc)), "interrupts": u32(0, 26, 4)})
    assert other(tree, "/uart@2000").irqs == (58,)


def test_devices_are_those_that_the_kernel_populates() -> None:
    tree = firmware.load("host")
    for name, kind in (("soc", "simple-bus"), ("mfd", "simple-mfd"), ("amba", "arm,amba-bus"), ("isa", "isa"), ("i2c", "a,i2c")):
        bus = tree.root.add(name, {"compatible": text(kind)})
        bus.add("child", {"compatible": text("a,child")})
    tree.root.add("off", {"compatible": text("a,child"), "status": text("disabled")})
    paths = [device.path for device in firmware.describe(tree).other if device.names == ("a,child",)]
    assert paths == ["/soc/child", "/mfd/child", "/amba/child", "/isa/child"]


def test_strings_must_end() -> None:
    tree = firmware.load("host")
    tree.root.properties["model"] = b"open"
    assert sentence(lambda: tree.root.strings("model")) == (
        "host.dtb: node /, property model: the last string has no NUL at its end; a string property ends with one.")
    tree.root.properties["model"] = b"\xff\0"
    assert sentence(lambda: tree.root.strings("model")) == (
        "host.dtb: node /, property model: a character is not ASCII; strings in a device tree are.")


# Files


def test_a_bundled_board_needs_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in firmware.BOARDS:
        assert firmware.load(name).source == firmware.bundled(name).name


def test_a_source_without_dtc_gets_one_sentence_that_names_the_package(monkeypatch: pytest.MonkeyPatch,
                                                                       tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = firmware.bundled("host", ".dts")
    with pytest.raises(FirmwareError) as caught:
        firmware.load(path)
    assert caught.value.errno == errno.ENOENT
    assert str(caught.value) == (
        f"{path}: a device tree source needs the compiler dtc, which is not installed; install Debian's package "
        "device-tree-compiler (apt-get install device-tree-compiler), or give the board as a .dtb, which needs no "
        "compiler.")


SOURCES = {
    "syntax": ('/dts-v1/;\n/ { foo = <1;\n};\n', "{path}: line 2, column 13: dtc says: syntax error."),
    "label": ('/dts-v1/;\n/ { foo = <&nolabel>; };\n',
              '{path}: line 2, column 3: dtc says: /: Reference to non-existent node or label "nolabel".'),
    "include": ('/dts-v1/;\n/include/ "nope.dtsi"\n/ { };\n',
                '{path}: dtc says: Couldn\'t open "nope.dtsi": No such file or directory.'),
    "preprocessor": ('#include <a.h>\n/dts-v1/;\n/ { };\n',
                     "{path}: line 1, column 1: dtc says: syntax error; a source with #include lines goes through "
                     "the C preprocessor first (cpp -nostdinc -undef -x assembler-with-cpp)."),
    "endless": ('/dts-v1/;\n/ { a = /incbin/("/dev/zero"); };\n', None),
    "nesting": ("/dts-v1/; /" + "{a" * 100000, None),
}


@needs_dtc
@pytest.mark.parametrize("case", SOURCES)
def test_what_dtc_says_is_one_sentence(case: str, tmp_path: Path) -> None:
    content, expected = SOURCES[case]
    path = tmp_path / "board.dts"
    path.write_text(content)
    said = sentence(lambda: firmware.load(path))
    assert said.startswith(f"{path}: ")
    assert expected is None or said == expected.format(path=path)


def test_files_that_are_no_device_tree(tmp_path: Path) -> None:
    def said(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return sentence(lambda: firmware.load(tmp_path / name)).removeprefix(f"{tmp_path}/")

    assert said("a.dtb", b"\x7fELF and so on") == (
        "a.dtb: this is no firmware, it begins with 7f 45 4c 46; a .dtb begins with d0 0d fe ed, a .dts contains "
        "/dts-v1/, an .aml begins with DSDT or SSDT, an .asl contains DefinitionBlock.")
    assert said("empty.dtb", b"") == (
        "empty.dtb: this is no firmware, it begins with nothing; a .dtb begins with d0 0d fe ed, a .dts contains "
        "/dts-v1/, an .aml begins with DSDT or SSDT, an .asl contains DefinitionBlock.")
    assert said("dsdt.aml", b"DSDT" + bytes(40)) == (
        "dsdt.aml: offset 0x4: a length of 0 bytes is less than the header's 36.")
    text = (b"DSDT @ 0x00000000BF5B0000\n    0000: 44 53 44 54 24 00 00 00 02 5A 41 43 4D 45 00 00  DSDT$....ZACME..\n")
    assert said("acpidump.txt", text) == (
        "acpidump.txt: this is the text of acpidump, which holds tables as hexadecimal digits; acpixtract makes tables of it "
        f"(acpixtract -a {tmp_path}/acpidump.txt), of which dsdt.dat is given here, or the DSDT and the SSDTs behind one another "
        "in one .aml.")


def test_files_that_cannot_be_read_keep_their_errno(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError) as caught:
        firmware.load(tmp_path / "no\nsuch")
    assert caught.value.errno == errno.ENOENT and isinstance(caught.value, OSError)
    assert str(caught.value) == (f"{tmp_path}/no\\x0asuch: no such file, and no bundled board has this name; bundled "
                                 "are host, guest, binding-example, acpi, acpi-guest.")
    assert sentence(lambda: firmware.load(tmp_path)) == f"{tmp_path}: this is no regular file; give a .dtb, .dts, .aml or .asl."
    assert sentence(lambda: firmware.load("/dev/zero")) == "/dev/zero: this is no regular file; give a .dtb, .dts, .aml or .asl."
    assert sentence(lambda: firmware.load("a\0b")) == "a\\x00b: it cannot be read (Invalid argument)."


def test_a_path_wins_over_a_bundled_name_only_if_it_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("host").write_bytes(firmware.bundled("guest").read_bytes())
    assert firmware.describe(firmware.load("host")).cpus == 8
    assert firmware.describe(firmware.load("./host")).cpus == 1


def test_the_error_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(FirmwareError("a: b.", errno.ENOENT)))
    assert (str(error), error.errno) == ("a: b.", errno.ENOENT)
    assert FirmwareError("a: b.").errno == errno.EINVAL


# Damaged and hostile blobs


def blob(structure: bytes, strings: bytes = b"\0", **header: int) -> bytes:
    """A blob of version 17 around a structure block; header fields may be overridden."""
    start = 56
    fields = {"magic": 0xD00DFEED, "size": start + len(structure) + len(strings), "struct": start,
              "strings": start + len(structure), "reserve": 40, "version": 17, "oldest": 16, "cpu": 0,
              "strings_size": len(strings), "struct_size": len(structure)} | header
    return u32(*fields.values()) + bytes(16) + structure + strings


ROOT, CHILD, CLOSE, DONE = u32(1, 0), u32(1) + b"a\0\0\0", u32(2), u32(9)

HOSTILE = {
    "nothing": (b"", "offset 0x0: the blob ends inside its header, which has 40 bytes."),
    "a word": (b"blob", "offset 0x0: this is no device tree blob; one begins with d0 0d fe ed."),
    "another file": (b"PK\3\4" + bytes(60), (
        "offset 0x0: this is no device tree blob, it begins with 50 4b 03 04; one begins with d0 0d fe ed.")),
    "half a header": (u32(0xD00DFEED, 100), "offset 0x8: the blob ends inside its header, which has 40 bytes."),
    "truncated": (blob(ROOT + CLOSE + DONE)[:-4], (
        "offset 0x4: the header says 73 bytes and 69 are there; the blob is truncated.")),
    "old version": (blob(ROOT + CLOSE + DONE, version=3, oldest=2), (
        "offset 0x14: version 3 (compatible back to 2) is not one of 16 and 17.")),
    "future version": (blob(ROOT + CLOSE + DONE, version=20, oldest=18), (
        "offset 0x14: version 20 (compatible back to 18) is not one of 16 and 17.")),
    "size 0": (blob(ROOT + CLOSE + DONE, size=0), "offset 0x4: a total size of 0 bytes is less than the header's 40."),
    "strings outside": (blob(ROOT + CLOSE + DONE, strings_size=0xFFFFFFFF), (
        "offset 0xc: the strings block (0x48, 0xffffffff bytes) does not lie inside the blob.")),
    "structure outside": (blob(ROOT + CLOSE + DONE, struct_size=0x1000), (
        "offset 0x8: the structure block (0x38 to 0x1038) is not aligned to 4 bytes or does not lie inside the "
        "blob.")),
    "structure unaligned": (blob(ROOT + CLOSE + DONE, struct=57), (
        "offset 0x8: the structure block (0x39 to 0x49) is not aligned to 4 bytes or does not lie inside the blob.")),
    "reservations in the header": (blob(ROOT + CLOSE + DONE, reserve=8), (
        "offset 0x10: the memory reservation block at 0x8 is not aligned to 8 bytes or lies inside the header.")),
    "reservations without an end": (blob(ROOT + CLOSE + DONE, reserve=64), (
        "offset 0x40: the memory reservation block has no end; its last entry is 16 zero bytes.")),
    "no end": (blob(ROOT + CLOSE), "offset 0x44: the structure block ends before its end mark (FDT_END)."),
    "open node": (blob(ROOT + DONE), "offset 0x40: the end mark (FDT_END) stands before every node is closed."),
    "no root": (blob(DONE), "offset 0x38: the end mark (FDT_END) stands before every node is closed."),
    "two roots": (blob(ROOT + CLOSE + ROOT), (
        "offset 0x44: a node stands where the root, without a name and alone at its level, is right.")),
    "named root": (blob(CHILD), (
        "offset 0x38: a node stands where the root, without a name and alone at its level, is right.")),
    "nameless node": (blob(ROOT + ROOT), "offset 0x40: a node below / has no name."),
    "twins": (blob(ROOT + (CHILD + CLOSE) * 2), "offset 0x4c: / has two nodes called a."),
    "too many ends": (blob(ROOT + CLOSE + CLOSE), "offset 0x44: a node ends where none has begun."),
    "bad token": (blob(ROOT + u32(7)), "offset 0x40: 0x7 is no token of a structure block."),
    "name without end": (blob(ROOT + u32(1) + b"a" * 64), (
        "offset 0x44: the name of a node has no end within its block and 255 characters.")),
    "name with a slash": (blob(ROOT + u32(1) + b"a/b\0"), (
        "offset 0x44: the name of a node has a character that no name has.")),
    "deep": (blob(ROOT + CHILD * 100000), "offset 0x238: nodes lie more than 64 deep."),
    "long property": (blob(ROOT + u32(3, 0xFFFFFFFF, 0)), (
        "offset 0x44: a property of / has 4294967295 bytes and passes the end of the structure block.")),
    "property name outside": (blob(ROOT + u32(3, 0, 1)), (
        "offset 0x48: the name of a property of / lies outside the strings block.")),
    "nameless property": (blob(ROOT + u32(3, 0, 0)), "offset 0x48: a property of / has no name."),
    "property name without end": (blob(ROOT + u32(3, 0, 0), b"abc"), (
        "offset 0x4c: the name of a property has no end within its block and 255 characters.")),
    "very long property name": (blob(ROOT + b"".join(u32(3, 0, i) for i in range(10000)), b"a" * (1 << 20) + b"\0"), (
        "offset 0x1d500: the name of a property has no end within its block and 255 characters.")),
    "property twice": (blob(ROOT + u32(3, 0, 0) * 2, b"p\0"), "offset 0x4c: / has two properties called p."),
    "late property": (blob(ROOT + CHILD + CLOSE + u32(3, 0, 0), b"p\0"), (
        "offset 0x4c: a property of / stands behind its child nodes.")),
    "loose property": (blob(u32(3, 0, 0), b"p\0"), "offset 0x38: a property stands outside every node."),
    "short phandle": (blob(ROOT + u32(3, 2, 0) + bytes(4) + CLOSE + DONE, b"phandle\0"), (
        "node /, property phandle: 2 bytes stand where one cell of 4 bytes is right.")),
    "phandle twice": (blob(ROOT + u32(3, 4, 0, 1) + CHILD + u32(3, 4, 0, 1) + CLOSE + CLOSE + DONE, b"phandle\0"), (
        "node /a, property phandle: 0x1 is the phandle of / already; each node needs its own.")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_damaged_blob_gets_one_sentence_with_the_place(case: str) -> None:
    content, said = HOSTILE[case]
    assert sentence(lambda: firmware.parse(content, "x.dtb")) == f"x.dtb: {said}"


def test_the_smallest_blob_is_read() -> None:
    assert firmware.parse(blob(ROOT + u32(4) + CLOSE + DONE)).root.path == "/"


@pytest.mark.slow
def test_a_blob_of_the_largest_size_is_read() -> None:
    count = (2 << 20) // 16 - 10
    children = b"".join(u32(1) + f"{i:07x}".encode() + b"\0" + CLOSE for i in range(count))
    tree = firmware.parse(blob(ROOT + children + CLOSE + DONE))
    assert len(tree.root.children) == count
    assert firmware.describe(tree).memory == (Region(0x80000000, 256 << 20),)


@pytest.mark.parametrize("name", TREES)
def test_every_truncation_gets_a_sentence(name: str) -> None:
    whole = firmware.bundled(name).read_bytes()
    for length in range(len(whole)):
        sentence(lambda length=length: firmware.parse(whole[:length], "x.dtb"))  # type: ignore[misc]


def accepts_or_says(act: Callable[[], Tree], note: str) -> bool:
    """Run everything on what a reader made of hostile input; True if it became a board."""
    try:
        tree = act()
        for said in firmware.check(tree):
            assert said.endswith(".") and "\n" not in said, note
        assert firmware.dump(firmware.parse(firmware.dump(tree))) == firmware.dump(tree), note
        firmware.explain_unbound(firmware.describe(tree))
    except FirmwareError as error:
        assert str(error).endswith(".") and str(error).isprintable(), note
        return False
    except Exception as error:
        raise AssertionError(f"{note}: {error!r}") from error
    return True


WORDS = [0, 1, 2, 3, 4, 9, 64, 65, 0x1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def damage(rng: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(data) // 4 + 1) * 4
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 1:
            data[at:at + 4] = u32(rng.choice(WORDS))
        elif kind == 2:
            at = rng.randrange(10) * 4
            data[at:at + 4] = u32(rng.choice([*WORDS, rng.randrange(len(data) + 64)]))
        elif kind == 3:
            source, size = rng.randrange(len(data) // 4 + 1) * 4, rng.randrange(1, 16) * 4
            data[at:at + size] = data[source:source + size]
        elif kind == 4 and rng.random() < 0.3:
            del data[at:]
        else:
            data[at:at] = bytes(4 * rng.randrange(4))
    return bytes(data)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_blob_is_a_tree_or_a_sentence(seed: int) -> None:
    rng = random.Random(seed)
    wholes = [firmware.bundled(name).read_bytes() for name in TREES] + [(DATA / "soc.dtb").read_bytes()]
    for case in range(500):
        content = damage(rng, rng.choice(wholes))
        accepts_or_says(lambda content=content: firmware.parse(content, "x.dtb"),  # type: ignore[misc]
                        f"seed {seed}, case {case}")


@pytest.mark.parametrize("seed", range(4))
def test_a_tree_with_damaged_properties_is_a_board_or_a_sentence(seed: int) -> None:
    rng = random.Random(seed)
    boards = 0
    for case in range(300):
        tree = firmware.load(rng.choice([*TREES, str(DATA / "soc.dtb")]))
        nodes = [n for n in tree.walk() if n.properties]
        for _ in range(rng.randint(1, 4)):
            victim = rng.choice(nodes)
            name = rng.choice(list(victim.properties) or ["reg"])
            value = victim.properties.pop(name, b"")
            kind = rng.randrange(5)
            if kind == 0:
                victim.properties[name] = value[:rng.randrange(len(value) + 1)]
            elif kind == 1:
                victim.properties[name] = u32(*(rng.choice(WORDS) for _ in range(len(value) // 4)))
            elif kind == 2:
                victim.properties[name] = value * 2
            elif kind == 3:
                victim.properties[name] = rng.choice(list(rng.choice(nodes).properties.values()) or [b""])
        boards += accepts_or_says(lambda tree=tree: tree, f"seed {seed}, case {case}")  # type: ignore[misc]
    assert 0 < boards < 300


@needs_dtc
def test_a_damaged_source_is_a_tree_or_a_sentence(tmp_path: Path) -> None:
    rng = random.Random(1)
    whole = firmware.bundled("host", ".dts").read_bytes()
    path = tmp_path / "x.dts"
    for case in range(25):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            pieces = [b"", b"<", b"&smmu", b"};", b"\0", b"\xff", b"0x", b"/include/ "]
            data[at:at + rng.randrange(8)] = rng.choice(pieces)
        path.write_bytes(bytes(data))
        accepts_or_says(lambda: firmware.load(path), f"case {case}")
