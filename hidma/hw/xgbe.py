# SPDX-License-Identifier: GPL-2.0-only
"""AMD's 10 Gbit Ethernet controller (``amd,xgbe-seattle-v1a``), as far as its reset function reaches: the software reset of
the MAC and its DMA, the PCS behind a window (the registers of an MDIO device, chosen by PCS_MMD_SELECT), auto-negotiation and
its interrupt. Names and offsets are those of the Linux driver.
"""

from __future__ import annotations

from hidma.hw.device import DeviceModel, Row
from hidma.hw.registers import ALL_ONES

# MAC and DMA, first region
MAC_ISR = 0x00B0
MAC_VR = 0x0110
DMA_MR = 0x3000
DMA_ISR = 0x3008
DMA_CH_RCR = 0x3108
DMA_CH_RDLR_HI = 0x3118
DMA_CH_RDLR_LO = 0x311C
DMA_CH_IER = 0x3138
DMA_CH_SR = 0x3160

# PCS, second region
PCS_MMD_SELECT = 0xFF << 2

DMA_MR_SWR = 0x1
DMA_CH_RCR_SR = 0x1
DMA_CH_SR_RI = 0x40
MDIO_MMD_PCS = 3
MDIO_MMD_AN = 7
MDIO_CTRL1 = 0
MDIO_CTRL1_RESET = 0x8000
MDIO_AN_CTRL1_ENABLE = 0x1000
MDIO_AN_INTMASK = 0x8001
MDIO_AN_INT = 0x8002

#: How long a reset takes, in ns.
PHY_RESET_NS = 30_000_000
MAC_RESET_NS = 100_000


class Xgbe(DeviceModel):
    """One controller: a region of 64 KiB for MAC and DMA, one of 4 KiB for the PCS.

    ``stuck`` lets neither PHY nor MAC end its reset; ``stuck_phy`` and ``stuck_mac`` do one of it.
    """

    name = "xgbe"
    sizes = (0x10000, 0x1000)
    registers = (
        (Row(MAC_ISR, "MAC_ISR"), Row(MAC_VR, "MAC_VR", reset=0x1042, read_only=ALL_ONES), Row(DMA_MR, "DMA_MR"),
         Row(DMA_ISR, "DMA_ISR", read_only=ALL_ONES), Row(DMA_CH_RCR, "DMA_CH_RCR"),
         Row(DMA_CH_RDLR_HI, "DMA_CH_RDLR_HI"), Row(DMA_CH_RDLR_LO, "DMA_CH_RDLR_LO"), Row(DMA_CH_IER, "DMA_CH_IER"),
         Row(DMA_CH_SR, "DMA_CH_SR", clear=ALL_ONES)),
        (Row(PCS_MMD_SELECT, "PCS_MMD_SELECT"),),
    )

    def __init__(self, stuck: bool = False) -> None:
        self.mdio: dict[tuple[int, int], int] = {}
        self.phy_until = -1
        self.mac_until = -1
        self.stuck_phy = stuck
        self.stuck_mac = stuck
        super().__init__(stuck)

    # --- the window to the PCS

    def mdio_of(self, offset: int) -> tuple[int, int]:
        """Device and register that an access at ``offset`` means."""
        address = self.registers_of[1][PCS_MMD_SELECT] << 8 | offset >> 2
        return address >> 16 & 0x1F, address & 0xFFFF

    def read(self, region: int, offset: int) -> int:
        self.progress()
        if region == 1 and offset != PCS_MMD_SELECT:
            return self.mdio.get(self.mdio_of(offset), 0)
        return super().read(region, offset)

    def write(self, region: int, offset: int, value: int) -> None:
        self.progress()
        if region == 1 and offset != PCS_MMD_SELECT:
            where = self.mdio_of(offset)
            self.mdio[where] = value & 0xFFFF
            if where == (MDIO_MMD_PCS, MDIO_CTRL1) and value & MDIO_CTRL1_RESET:
                self.phy_until = self.bus.clock.now + PHY_RESET_NS
            self.update()
            return
        super().write(region, offset, value)

    def written(self, region: int, offset: int, value: int) -> None:
        if region == 0 and offset == DMA_MR and value & DMA_MR_SWR:
            self.mac_until = self.bus.clock.now + MAC_RESET_NS

    def progress(self) -> None:
        """Resets whose time has come are over."""
        now = self.bus.clock.now
        if 0 <= self.phy_until <= now and not self.stuck_phy:
            self.phy_until = -1
            self.mdio[MDIO_MMD_PCS, MDIO_CTRL1] = 0
        if 0 <= self.mac_until <= now and not self.stuck_mac:
            self.mac_until = -1
            self.reset(0)

    # --- DMA and interrupt

    def running(self) -> bool:
        # a MAC that is being reset moves nothing; one that is stuck has not begun to
        if self.mac_until >= 0 and not self.stuck_mac:
            return False
        return bool(self.registers_of[0][DMA_CH_RCR] & DMA_CH_RCR_SR)

    def target(self) -> int:
        regs = self.registers_of[0]
        return regs[DMA_CH_RDLR_HI] << 32 | regs[DMA_CH_RDLR_LO]

    def interrupts(self) -> bool:
        if self.mac_until >= 0 and not self.stuck_mac:
            return bool(self.mdio.get((MDIO_MMD_AN, MDIO_AN_INT), 0) & self.mdio.get((MDIO_MMD_AN, MDIO_AN_INTMASK), 0))
        regs = self.registers_of[0]
        negotiation = self.mdio.get((MDIO_MMD_AN, MDIO_AN_INT), 0) & self.mdio.get((MDIO_MMD_AN, MDIO_AN_INTMASK), 0)
        return bool(regs[DMA_CH_SR] & regs[DMA_CH_IER] or negotiation)

    def happened(self) -> None:
        self.registers_of[0][DMA_CH_SR] |= DMA_CH_SR_RI

    def start_traffic(self, address: int) -> None:
        self.mdio[MDIO_MMD_AN, MDIO_CTRL1] = MDIO_AN_CTRL1_ENABLE
        self.mdio[MDIO_MMD_AN, MDIO_AN_INTMASK] = 0x7
        self.mdio[MDIO_MMD_AN, MDIO_AN_INT] = 0x1
        self.write(0, DMA_CH_RDLR_HI, address >> 32)
        self.write(0, DMA_CH_RDLR_LO, address & ALL_ONES)
        self.write(0, DMA_CH_IER, DMA_CH_SR_RI)
        self.write(0, DMA_CH_RCR, DMA_CH_RCR_SR)
