# SPDX-License-Identifier: GPL-2.0-only
"""Registers, commands, states, causes and descriptors are declared twice: by the hardware model, and by the port as the
C files have them. The two say the same."""

from __future__ import annotations

import pytest

from hidma import hidma_h, ll, mgmt
from hidma.hw import registers
from hidma.linux.bitops import GENMASK

TRCA = ("CTRLSTS", "RING_LOW", "RING_HIGH", "RING_LEN", "READ_PTR", "WRITE_PTR", "DOORBELL")
EVCA = (*TRCA, "INTCTRL", "IRQ_STAT", "IRQ_CLR", "IRQ_EN")
MANAGEMENT = ("QOS_N", "CFG", "MAX_BUS_REQ_LEN", "MAX_XACTIONS", "HW_VERSION", "CHRESET_TIMEOUT")
CAUSES = {
    "EOB": "IRQ_EV_CH_EOB_IRQ_BIT_POS",
    "EVENT_WRITE": "IRQ_EV_CH_WR_RESP_BIT_POS",
    "TRE_READ": "IRQ_TR_CH_TRE_RD_RSP_ER_BIT_POS",
    "DATA_READ": "IRQ_TR_CH_DATA_RD_ER_BIT_POS",
    "DATA_WRITE": "IRQ_TR_CH_DATA_WR_ER_BIT_POS",
    "INVALID_TRE": "IRQ_TR_CH_INVALID_TRE_BIT_POS",
}


def row(rows: tuple[registers.Register, ...], name: str) -> registers.Register:
    return next(r for r in rows if r.name == name)


def field(rows: tuple[registers.Register, ...], register: str, name: str) -> registers.Field:
    return next(f for f in row(rows, register).fields if f.name == name)


def test_the_drivers_declare_no_other_offsets() -> None:
    declared = {name for module in (ll, mgmt) for name in vars(module) if name.endswith("_OFFSET")}
    wanted = {f"TRCA_{name}_OFFSET" for name in TRCA} | {f"EVCA_{name}_OFFSET" for name in EVCA}
    wanted |= {f"HIDMA_{name}_OFFSET" for name in MANAGEMENT}
    assert declared == wanted


@pytest.mark.parametrize("name", TRCA)
def test_transfer_channel_offset(name: str) -> None:
    assert getattr(ll, f"TRCA_{name}_OFFSET") == row(registers.TRCA, name).offset


@pytest.mark.parametrize("name", EVCA)
def test_event_channel_offset(name: str) -> None:
    assert getattr(ll, f"EVCA_{name}_OFFSET") == row(registers.EVCA, name).offset


@pytest.mark.parametrize("name", MANAGEMENT)
def test_management_offset(name: str) -> None:
    assert getattr(mgmt, f"HIDMA_{name}_OFFSET") == row(registers.MANAGEMENT, name).offset


def test_commands_and_states() -> None:
    for value, name, _ in registers.COMMANDS:
        assert getattr(ll, f"CH_{name}") == value
    for value, name, _ in registers.STATES:
        assert getattr(ll, f"CH_{name}") == value
    assert ll.CH_STATE_BIT_POS == registers.STATE_SHIFT
    assert ll.CH_STATE_MASK == registers.STATE_MASK
    assert ll.CH_CONTROL_MASK == registers.COMMAND_MASK


def test_causes() -> None:
    for name, bit in CAUSES.items():
        assert registers.Cause[name] == 1 << getattr(ll, bit)
    enabled = [name for name in registers.Cause.__members__ if registers.Cause[name] & ll.ENABLE_IRQS]
    assert enabled == [*CAUSES], "the driver enables what it has a name for, and so not RESET_DONE"


def test_fields_of_the_management_block() -> None:
    rows = registers.MANAGEMENT
    burst, transactions = mgmt.HIDMA_MAX_BUS_REQ_LEN_MASK, mgmt.HIDMA_MAX_WR_XACTIONS_MASK
    assert field(rows, "QOS_N", "priority").mask == 1 << mgmt.HIDMA_PRIORITY_BIT_POS
    assert field(rows, "QOS_N", "weight").mask == mgmt.HIDMA_WEIGHT_MASK << mgmt.HIDMA_WRR_BIT_POS
    assert field(rows, "MAX_BUS_REQ_LEN", "write").mask == burst << mgmt.HIDMA_MAX_BUS_WR_REQ_BIT_POS
    assert field(rows, "MAX_BUS_REQ_LEN", "read").mask == burst
    assert field(rows, "MAX_XACTIONS", "write").mask == transactions << mgmt.HIDMA_MAX_WR_XACTIONS_BIT_POS
    assert field(rows, "MAX_XACTIONS", "read").mask == mgmt.HIDMA_MAX_RD_XACTIONS_MASK
    assert field(rows, "CHRESET_TIMEOUT", "cycles").mask == mgmt.HIDMA_CHRESET_TIMEOUT_MASK
    assert (field(rows, "HW_VERSION", "major").mask, field(rows, "HW_VERSION", "minor").mask) == (
        GENMASK(31, 28), GENMASK(19, 16))


def test_descriptors() -> None:
    assert hidma_h.TRE_SIZE == registers.TRE_SIZE == 4 * len(registers.TRE)
    assert ll.EVRE_SIZE == registers.EVRE_SIZE == 4 * len(registers.EVRE)
    assert (ll.TRE_MEMCPY, ll.TRE_MEMSET) == (registers.TRE_MEMCPY, registers.TRE_MEMSET)
    assert (ll.EVRE_DMA_COMPLETE, ll.EVRE_IMM_DATA) == (registers.EVRE_DMA_COMPLETE, registers.EVRE_IMM_DATA)
    assert (ll.EVRE_STATUS_COMPLETE, ll.EVRE_STATUS_ERROR) == (registers.CODE_COMPLETE, registers.CODE_ERROR)
    assert (ll.EVRE_ERRINFO_BIT_POS, ll.EVRE_CODE_BIT_POS) == (registers.EVRE_INFO_SHIFT, registers.EVRE_CODE_SHIFT)
    code, info, _ = registers.EVRE[ll.EVRE_CFG_IDX].fields
    assert code.mask == ll.EVRE_CODE_MASK << ll.EVRE_CODE_BIT_POS
    assert info.mask == ll.EVRE_ERRINFO_MASK << ll.EVRE_ERRINFO_BIT_POS
    words = {hidma_h.TRE_LEN_IDX: "Length", hidma_h.TRE_SRC_LOW_IDX: "Source, low",
             hidma_h.TRE_SRC_HI_IDX: "Source, high",
             hidma_h.TRE_DEST_LOW_IDX: "Destination, low", hidma_h.TRE_DEST_HI_IDX: "Destination, high"}
    for index, text in words.items():
        assert registers.TRE[index].description.startswith(text)
    for index, text in {ll.EVRE_LEN_IDX: "Length", ll.EVRE_DEST_LOW_IDX: "Destination, low",
                        ll.EVRE_DEST_HI_IDX: "Destination, high"}.items():
        assert registers.EVRE[index].description.startswith(text)
