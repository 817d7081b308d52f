# SPDX-License-Identifier: GPL-2.0-only
"""The three reset functions on the models of their devices: that they stop them, and what a stuck device gives."""

from __future__ import annotations

import pytest

import hidma
from hidma import vm
from hidma.firmware import load
from hidma.firmware.fdt import Tree, dump, text, u32
from hidma.hw.registers import CTRLSTS, IRQ_EN, RING_LOW
from hidma.hw.xgbe import (
    DMA_CH_RCR,
    DMA_MR,
    MDIO_AN_CTRL1_ENABLE,
    MDIO_AN_INT,
    MDIO_AN_INTMASK,
    MDIO_CTRL1,
    MDIO_CTRL1_RESET,
    MDIO_MMD_AN,
    MDIO_MMD_PCS,
    PCS_MMD_SELECT,
    Xgbe,
)
from hidma.hw.xgmac import XGMAC_CONTROL, XGMAC_DMA_CONTROL, XGMAC_DMA_INTR_ENA, Xgmac
from hidma.linux.errno import ENODEV, ENOMEM, ETIMEDOUT
from hidma.testing import Bench, DeviceModel, HidmaChannelModel
from reset_plugins.amdxgbe import vfio_platform_amdxgbe_reset
from reset_plugins.calxedaxgmac import vfio_platform_calxedaxgmac_reset
from reset_plugins.qcomhidma import vfio_platform_qcomhidma_reset

PHY_WARNING = "vfio_platform_amdxgbe_reset XGBE PHY reset timeout"
MAC_WARNING = "vfio_platform_amdxgbe_reset MAC SW reset failed"


# --- HIDMA ----------------------------------------------------------------------------------------------------------------


def test_hidma_channel_is_disabled_with_its_rings_forgotten() -> None:
    with Bench(HidmaChannelModel()) as bench:
        bench.start_traffic()
        assert bench.call(vfio_platform_qcomhidma_reset) == 0
        for block in bench.model.regions:
            assert block.peek(CTRLSTS) >> 8 & 0xFF == 0
            assert block.peek(RING_LOW) == 0
        assert bench.model.regions[1].peek(IRQ_EN) == 0
        bench.watch("the reset")
        assert bench.log == ["HIDMA channel reset"]


@pytest.mark.parametrize("regions", [0, 1, 3])
def test_hidma_wants_two_regions(regions: int) -> None:
    with Bench(HidmaChannelModel(), regions) as bench:
        assert bench.call(vfio_platform_qcomhidma_reset) == -ENODEV
        assert bench.accesses == 0


def test_stuck_hidma_channel_is_a_time_out_after_10_ms() -> None:
    with Bench(HidmaChannelModel(stuck=True)) as bench:
        bench.start_traffic()
        begun = bench.clock.now
        assert bench.call(vfio_platform_qcomhidma_reset) == -ETIMEDOUT
        assert 10_000_000 <= bench.clock.now - begun < 13_000_000


# --- xgbe -----------------------------------------------------------------------------------------------------------------


def test_xgbe_is_stopped_with_its_negotiation() -> None:
    with Bench(Xgbe()) as bench:
        bench.start_traffic()
        assert bench.call(vfio_platform_amdxgbe_reset) == 0
        model = bench.model
        assert isinstance(model, Xgbe)
        assert not model.registers_of[0][DMA_CH_RCR]
        assert not model.mdio[MDIO_MMD_AN, MDIO_CTRL1] & MDIO_AN_CTRL1_ENABLE
        assert model.mdio[MDIO_MMD_AN, MDIO_AN_INTMASK] == model.mdio[MDIO_MMD_AN, MDIO_AN_INT] == 0
        bench.watch("the reset")
        assert bench.log == []


def test_xgbe_with_a_stuck_phy_warns_after_a_second() -> None:
    model = Xgbe()
    model.stuck_phy = True
    with Bench(model) as bench:
        bench.start_traffic()
        assert bench.call(vfio_platform_amdxgbe_reset) == 0
        assert bench.log == [PHY_WARNING]
        assert bench.clock.now > 1_000_000_000
        bench.watch("the reset")


def test_xgbe_with_a_stuck_mac_says_nothing_row_35() -> None:
    model = Xgbe()
    model.stuck_mac = True
    with Bench(model) as bench:
        bench.start_traffic()
        assert bench.call(vfio_platform_amdxgbe_reset) == 0
        assert bench.log == []
        with pytest.raises(AssertionError, match="goes on writing"):
            bench.watch("the reset")


def test_xgbe_whose_mac_ends_at_the_last_look_warns_row_35(monkeypatch: pytest.MonkeyPatch) -> None:
    from hidma.hw import xgbe

    class Slow(Xgbe):
        looks = 0

        def read(self, region: int, offset: int) -> int:
            value = super().read(region, offset)
            if region == 0 and offset == xgbe.DMA_MR:
                self.looks += 1
                # one look before the reset is begun, then 2,000
                return value | 1 if 1 < self.looks <= 2000 else value & ~1
            return value

    with Bench(Slow()) as bench:
        assert bench.call(vfio_platform_amdxgbe_reset) == 0
        assert bench.log == [MAC_WARNING]


class Counting(Xgbe):
    """Counts the looks at both resets, and notes what is written to the register that begins each."""

    def __init__(self) -> None:
        super().__init__()
        self.phy_looks = self.mac_looks = 0
        self.begun: list[tuple[str, int]] = []
        self.mac_begun = self.mac_first = 0

    def read(self, region: int, offset: int) -> int:
        if region == 0 and offset == DMA_MR:
            self.mac_looks += 1
            if self.mac_looks == 2:
                self.mac_first = self.bus.clock.now
        if region == 1 and self.mdio_of(offset) == (MDIO_MMD_PCS, MDIO_CTRL1):
            self.phy_looks += 1
        return super().read(region, offset)

    def write(self, region: int, offset: int, value: int) -> None:
        if region == 0 and offset == DMA_MR:
            self.begun.append(("mac", value))
            self.mac_begun = self.bus.clock.now
        if region == 1 and offset != PCS_MMD_SELECT and self.mdio_of(offset) == (MDIO_MMD_PCS, MDIO_CTRL1):
            self.begun.append(("phy", value))
        super().write(region, offset, value)


def test_xgbe_is_looked_at_50_times_in_a_second_and_2000_times_in_another() -> None:
    model = Counting()
    model.stuck_phy = model.stuck_mac = True
    with Bench(model) as bench:
        begun = bench.clock.now
        assert bench.call(vfio_platform_amdxgbe_reset) == 0
        # one more look at each begins its reset
        assert (model.phy_looks, model.mac_looks) == (1 + 50, 1 + 2000)
        assert model.mac_first - model.mac_begun >= 10_000
        assert 50 * 20_000_000 + 2000 * 500_000 <= bench.clock.now - begun < 50 * 30_000_000 + 2000 * 700_000


def test_xgbe_keeps_the_other_bits_of_the_registers_that_begin_a_reset() -> None:
    model = Counting()
    with Bench(model) as bench:
        model.mdio[MDIO_MMD_PCS, MDIO_CTRL1] = 0x2040
        model.registers_of[0][DMA_MR] = 0x30000
        assert bench.call(vfio_platform_amdxgbe_reset) == 0
        assert model.begun == [("phy", 0x2040 | MDIO_CTRL1_RESET), ("mac", 0x30001)]


def test_xgbe_maps_both_regions_or_fails() -> None:
    for name in ("xgbe.0", "xgbe.1"):
        with Bench(Xgbe()) as bench:
            bench.kernel.fault_inject.values[f"ioremap_{name}"] = -12
            assert bench.call(vfio_platform_amdxgbe_reset) == -ENOMEM


# --- xgmac ----------------------------------------------------------------------------------------------------------------


def test_xgmac_is_stopped() -> None:
    with Bench(Xgmac()) as bench:
        bench.start_traffic()
        assert bench.call(vfio_platform_calxedaxgmac_reset) == 0
        regs = bench.model.registers_of[0]
        assert (regs[XGMAC_DMA_INTR_ENA], regs[XGMAC_DMA_CONTROL], regs[XGMAC_CONTROL]) == (0, 0, 0)
        bench.watch("the reset")


def test_xgmac_keeps_the_bits_that_are_not_its_business() -> None:
    with Bench(Xgmac()) as bench:
        bench.model.registers_of[0][XGMAC_CONTROL] = 0x8000000C
        bench.model.registers_of[0][XGMAC_DMA_CONTROL] = 0x00042002
        assert bench.call(vfio_platform_calxedaxgmac_reset) == 0
        assert bench.model.registers_of[0][XGMAC_CONTROL] == 0x80000000
        assert bench.model.registers_of[0][XGMAC_DMA_CONTROL] == 0x00040000


def test_stuck_xgmac_goes_unnoticed() -> None:
    with Bench(Xgmac(stuck=True)) as bench:
        bench.start_traffic()
        assert bench.call(vfio_platform_calxedaxgmac_reset) == 0
        assert bench.log == []
        with pytest.raises(AssertionError, match="goes on writing"):
            bench.watch("the reset")


@pytest.mark.parametrize(("model", "reset"), [
    (Xgmac, vfio_platform_calxedaxgmac_reset), (Xgbe, vfio_platform_amdxgbe_reset),
    (HidmaChannelModel, vfio_platform_qcomhidma_reset),
])
def test_mapping_is_kept_for_the_next_reset(model: type[DeviceModel], reset: object) -> None:
    assert callable(reset)
    with Bench(model()) as bench:
        bench.call(reset)
        first = [region.ioaddr for region in bench.vdev.regions]
        bench.call(reset)
        assert [region.ioaddr for region in bench.vdev.regions] == first


# --- on a board -------------------------------------------------------------------------------------------------------------


def board() -> bytes:
    """The host with both network controllers, each behind the SMMU."""
    tree = load("host")
    assert isinstance(tree, Tree)
    smmu = next(node for node in tree.walk() if "#iommu-cells" in node.properties)
    tree.root.add("ethernet@fff50000", {
        "compatible": text("calxeda,hb-xgmac"), "reg": u32(0, 0xFFF50000, 0, 0x1000), "interrupts": u32(0, 77, 4),
        "iommus": u32(tree.refer(smmu), 70)})
    tree.root.add("xgmac@e0700000", {
        "compatible": text("amd,xgbe-seattle-v1a"),
        "reg": u32(0, 0xE0700000, 0, 0x10000, 0, 0xE0780000, 0, 0x1000), "interrupts": u32(0, 325, 4),
        "iommus": u32(tree.refer(smmu), 71)})
    return dump(tree)


@pytest.mark.parametrize(("name", "module"), [
    ("fff50000.ethernet", "vfio_platform_calxedaxgmac"),
    ("e0700000.xgmac", "vfio_platform_amdxgbe"),
])
def test_controller_on_a_board_is_stopped_when_its_owner_goes(name: str, module: str) -> None:
    with hidma.boot(board()) as machine:
        vm.assign(machine, name)
        assert module in [loaded.name for loaded in machine.modules()]
        model = machine.model(name)
        assert model is not None
        with vm.Hypervisor(machine) as owner:
            container, group = vm.Container(owner), vm.Group(owner, vm.Group.of(machine, name))
            group.set_container(container)
            container.set_iommu()
            address, phys = owner.mmap(0x10000)
            container.map_dma(0x10000, address, 0x10000)
            device = group.device(name)
            fd, event = owner.eventfd()
            device.trigger(fd)
            model.start_traffic(0x10000)
            machine.run(1_000_000)
            assert model.beats > 50 and model.refused == 0 and event.count == 1
            assert any(machine.memory.slice(phys, 0x10000))
            device.close()
            beats = model.beats
            machine.run(1_000_000)
            assert model.beats == beats and not model.line.level
