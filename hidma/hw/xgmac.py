# SPDX-License-Identifier: GPL-2.0-only
"""Calxeda's 10 Gbit Ethernet controller (``calxeda,hb-xgmac``), as far as its reset function reaches: the enables of MAC and
DMA, the interrupt enables, and a DMA that receives while both are on. No public data sheet is followed beyond the names and
offsets that the Linux driver uses.
"""

from __future__ import annotations

from hidma.hw.device import DeviceModel, Row

XGMAC_CONTROL = 0x000
XGMAC_DMA_RX_BASE_ADDR = 0xF0C
XGMAC_DMA_TX_BASE_ADDR = 0xF10
XGMAC_DMA_STATUS = 0xF14
XGMAC_DMA_CONTROL = 0xF18
XGMAC_DMA_INTR_ENA = 0xF1C

MAC_ENABLE_TX = 0x8
MAC_ENABLE_RX = 0x4
DMA_CONTROL_ST = 0x2000
DMA_CONTROL_SR = 0x2
DMA_STATUS_NIS = 0x10000
DMA_STATUS_RI = 0x40


class Xgmac(DeviceModel):
    """One controller: one region of 4 KiB.

    Its stuck variant ignores the enables of its DMA and keeps receiving.
    """

    name = "xgmac"
    sizes = (0x1000,)
    registers = (
        (Row(XGMAC_CONTROL, "CONTROL"), Row(XGMAC_DMA_RX_BASE_ADDR, "DMA_RX_BASE_ADDR"),
         Row(XGMAC_DMA_TX_BASE_ADDR, "DMA_TX_BASE_ADDR"), Row(XGMAC_DMA_STATUS, "DMA_STATUS", clear=0x1FFFF),
         Row(XGMAC_DMA_CONTROL, "DMA_CONTROL"), Row(XGMAC_DMA_INTR_ENA, "DMA_INTR_ENA")),
    )

    def __init__(self, stuck: bool = False) -> None:
        super().__init__(stuck)
        self.started = False

    def running(self) -> bool:
        regs = self.registers_of[0]
        if self.stuck and self.started:
            return True
        return bool(regs[XGMAC_CONTROL] & MAC_ENABLE_RX and regs[XGMAC_DMA_CONTROL] & DMA_CONTROL_SR)

    def target(self) -> int:
        return self.registers_of[0][XGMAC_DMA_RX_BASE_ADDR]

    def interrupts(self) -> bool:
        regs = self.registers_of[0]
        return bool(regs[XGMAC_DMA_STATUS] & regs[XGMAC_DMA_INTR_ENA])

    def happened(self) -> None:
        self.registers_of[0][XGMAC_DMA_STATUS] |= DMA_STATUS_NIS | DMA_STATUS_RI

    def start_traffic(self, address: int) -> None:
        self.started = True
        self.write(0, XGMAC_DMA_RX_BASE_ADDR, address)
        self.write(0, XGMAC_DMA_TX_BASE_ADDR, address + 0x100)
        self.write(0, XGMAC_DMA_INTR_ENA, DMA_STATUS_NIS | DMA_STATUS_RI)
        self.write(0, XGMAC_DMA_CONTROL, DMA_CONTROL_ST | DMA_CONTROL_SR)
        self.write(0, XGMAC_CONTROL, MAC_ENABLE_TX | MAC_ENABLE_RX)
