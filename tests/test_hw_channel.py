# SPDX-License-Identifier: GPL-2.0-only
"""A channel pair: every command in every state, reset, doorbells, interrupt, and the truth about TREs."""

from __future__ import annotations

import pytest
from hw_rig import (
    CFG,
    CHIDX,
    CHRESET_TIMEOUT,
    CTRLSTS,
    DATA_READ,
    DISABLE,
    DISABLED,
    DOORBELL,
    ENABLE,
    ENABLE_IRQS,
    ENABLED,
    EOB,
    ERROR,
    IN_RESET,
    INTCTRL,
    IRQ_CLR,
    IRQ_EN,
    IRQ_STAT,
    MAX_BUS,
    MAX_XACTIONS,
    READ_PTR,
    RESET,
    RESET_DONE,
    RING_HIGH,
    RING_LEN,
    RING_LOW,
    RUNNING,
    STOPPED,
    SUSPEND,
    SUSPENDED,
    WRITE_PTR,
    Pair,
    Rig,
)

from hidma.hw.channel import Outcome
from hidma.hw.core import HidmaCore

LONG = 8192


def rig(**options: object) -> Rig:
    made = Rig(managed=True, instant=False, entries=8, **options)  # type: ignore[arg-type]
    made.mw(MAX_BUS, 1024 << 16 | 1024)
    made.mw(MAX_XACTIONS, 31 << 16 | 31)
    made.mw(CFG, 1)
    return made


def in_state(state: int, block: str) -> Pair:
    """A pair whose block (``trca`` or ``evca``) is in ``state``; the other one is as the state wants it."""
    p = rig().pairs[0]
    write = p.tw if block == "trca" else p.ew
    if state == DISABLED:
        p.reset()
        p.program()
        return p
    p.up()
    if state == RUNNING:
        p.random_bytes(0, LONG)
        p.copy(p.data + 0x10000, p.data, LONG)
        p.copy(p.data + 0x20000, p.data, LONG)
        p.ring()
    elif state == SUSPENDED:
        write(CTRLSTS, SUSPEND << 16)
    elif state == STOPPED:
        p.rig.mw(CFG, 0)
    elif state == ERROR:
        p.tw(DOORBELL, 1)
    elif state == IN_RESET:
        write(CTRLSTS, RESET << 16)
    return p


# state -> command -> (state at once, state in the end, ignored)
TABLE = {
    DISABLED: {
        DISABLE: (DISABLED, DISABLED, 0),
        ENABLE: (ENABLED, ENABLED, 0),
        SUSPEND: (SUSPENDED, SUSPENDED, 0),
        RESET: (IN_RESET, DISABLED, 0),
    },
    ENABLED: {
        DISABLE: (DISABLED, DISABLED, 0),
        ENABLE: (ENABLED, ENABLED, 0),
        SUSPEND: (SUSPENDED, SUSPENDED, 0),
        RESET: (IN_RESET, DISABLED, 0),
    },
    RUNNING: {
        DISABLE: (RUNNING, DISABLED, 0),
        ENABLE: (RUNNING, ENABLED, 0),
        SUSPEND: (RUNNING, SUSPENDED, 0),
        RESET: (IN_RESET, DISABLED, 0),
    },
    SUSPENDED: {
        DISABLE: (DISABLED, DISABLED, 0),
        ENABLE: (ENABLED, ENABLED, 0),
        SUSPEND: (SUSPENDED, SUSPENDED, 0),
        RESET: (IN_RESET, DISABLED, 0),
    },
    STOPPED: {
        DISABLE: (DISABLED, DISABLED, 0),
        ENABLE: (STOPPED, STOPPED, 1),
        SUSPEND: (STOPPED, STOPPED, 1),
        RESET: (IN_RESET, DISABLED, 0),
    },
    ERROR: {
        DISABLE: (ERROR, ERROR, 1),
        ENABLE: (ENABLED, ENABLED, 0),
        SUSPEND: (ERROR, ERROR, 1),
        RESET: (IN_RESET, DISABLED, 0),
    },
    IN_RESET: {
        DISABLE: (IN_RESET, DISABLED, 1),
        ENABLE: (IN_RESET, DISABLED, 1),
        SUSPEND: (IN_RESET, DISABLED, 1),
        RESET: (IN_RESET, DISABLED, 0),
    },
}


@pytest.mark.parametrize("block", ["trca", "evca"])
@pytest.mark.parametrize(("state", "command"), [(state, command) for state in TABLE for command in TABLE[state]])
def test_every_command_in_every_state(state: int, command: int, block: str) -> None:
    p = in_state(state, block)
    side = 0 if block == "trca" else 1
    model = p.model.trca if block == "trca" else p.model.evca
    assert p.states[side] == state
    ignored = model.commands_ignored
    (p.tw if block == "trca" else p.ew)(CTRLSTS, command << 16)
    at_once, finally_, counted = TABLE[state][command]
    assert p.states[side] == at_once
    assert (p.t if block == "trca" else p.e)(CTRLSTS) >> 16 & 0xFF == command
    assert model.commands_ignored - ignored == counted
    p.rig.run(100_000)
    if (state, command, block) == (RUNNING, RESET, "evca"):
        assert p.states == (RUNNING, DISABLED)  # the TRE that was begun waits for the event channel
    elif (state, command) == (RUNNING, RESET):
        assert p.states == (DISABLED, ENABLED)
    else:
        assert p.states[side] == finally_


@pytest.mark.parametrize("state", [DISABLED, ENABLED, SUSPENDED, ERROR, IN_RESET])
def test_a_command_that_does_not_exist_is_ignored_and_counted(state: int) -> None:
    for block in ("trca", "evca"):
        p = in_state(state, block)
        before = p.states
        for number, command in enumerate((3, 8, 0xFF), 1):
            (p.tw if block == "trca" else p.ew)(CTRLSTS, command << 16)
            assert (p.model.trca if block == "trca" else p.model.evca).commands_ignored == number
            assert p.states == before
            assert (p.t if block == "trca" else p.e)(CTRLSTS) >> 16 & 0xFF == command


def test_a_write_to_ctrlsts_cannot_touch_the_state() -> None:
    p = in_state(ENABLED, "trca")
    p.tw(CTRLSTS, 0xFF01FFFF)
    assert p.t(CTRLSTS) == ENABLE << 16 | ENABLED << 8


# --- RESET ----------------------------------------------------------------------------------------------------------


def test_reset_takes_640_ns_and_clears_what_it_should() -> None:
    p = in_state(ENABLED, "trca")
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    p.rig.run(10_000)
    p.events()
    p.tw(0x800, 77)
    start = p.rig.clock.now
    p.tw(CTRLSTS, RESET << 16)
    assert p.t(CTRLSTS) == RESET << 16 | IN_RESET << 8
    p.rig.run(start + 639 - p.rig.clock.now)
    assert p.states[0] == IN_RESET
    p.rig.run(1)
    assert p.states == (DISABLED, ENABLED)
    for offset in (RING_LOW, RING_HIGH, RING_LEN, READ_PTR, WRITE_PTR):
        assert p.t(offset) == 0
    assert p.t(CTRLSTS) == RESET << 16
    assert p.t(0x800) == 77
    # the other block is left alone
    assert p.e(RING_LEN) == 128
    assert (p.e(WRITE_PTR), p.e(READ_PTR)) == (16, 16)
    assert (p.e(INTCTRL), p.e(IRQ_EN), p.e(IRQ_STAT)) == (1, ENABLE_IRQS, 0)
    p.ew(CTRLSTS, RESET << 16)
    p.rig.run(640)
    for offset in (RING_LOW, RING_HIGH, RING_LEN, READ_PTR, WRITE_PTR, INTCTRL, IRQ_EN):
        assert p.e(offset) == 0
    assert p.e(IRQ_STAT) == RESET_DONE
    assert (p.model.trca.resets, p.model.evca.resets) == (2, 2)
    p.model.restore()  # nor do the model's own copies keep anything
    for read in (p.t, p.e):
        assert (read(READ_PTR), read(WRITE_PTR)) == (0, 0)


def test_a_stuck_reset_in_a_reset_never_ends() -> None:
    p = in_state(ENABLED, "trca")
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(200)
    p.rig.core.inject("reset-stuck:trca")
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(10_000)
    assert p.states[0] == IN_RESET


def test_reset_in_reset_begins_anew() -> None:
    p = in_state(ENABLED, "trca")
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(400)
    start = p.rig.clock.now
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(start + 639 - p.rig.clock.now)
    assert p.states[0] == IN_RESET
    p.rig.run(1)
    assert p.states[0] == DISABLED


def test_reset_done_can_be_cleared_and_raises_nothing_with_the_drivers_mask() -> None:
    p = in_state(DISABLED, "trca")
    p.ew(CTRLSTS, RESET << 16)
    p.rig.run(1000)
    p.ew(INTCTRL, 1)
    p.ew(IRQ_EN, ENABLE_IRQS)
    assert (p.e(IRQ_STAT), p.line.level) == (RESET_DONE, 0)
    p.ew(IRQ_EN, RESET_DONE)
    assert p.line.level == 1
    p.ew(IRQ_CLR, RESET_DONE)
    assert (p.e(IRQ_STAT), p.line.level) == (0, 0)


@pytest.mark.parametrize("when", range(100, 2400, 350))
def test_reset_in_the_middle_of_a_transfer_stops_it_at_once(when: int) -> None:
    p = in_state(RUNNING, "trca")
    p.rig.run(when)
    there = p.rig.bytes(p.data + 0x10000, 2 * LONG)
    words = p.rig.bytes(p.evre_ring, 128)
    done = p.model.tre_done
    p.tw(CTRLSTS, RESET << 16)
    p.ew(CTRLSTS, RESET << 16)
    p.rig.run(100_000)
    assert p.rig.bytes(p.data + 0x10000, 2 * LONG) == there
    assert p.rig.bytes(p.evre_ring, 128) == words
    assert p.model.tre_done == done
    assert p.states == (DISABLED, DISABLED)
    assert [p.model.outcome(i).end for i in range(2)] == ["completed"] * done + ["dropped"] * (2 - done)
    assert p.model.accepted == 2
    p.program()
    p.tail = p.head = 0
    p.command(ENABLE)
    p.copy(p.data + 0x30000, p.data, 64)
    p.ring()
    p.rig.run(1000)
    assert len(p.events()) == 1
    assert p.model.outcome(2) == Outcome("completed", "", 1, 0)


def test_reset_of_the_event_channel_drops_the_event_that_waits() -> None:
    p = in_state(DISABLED, "trca")
    p.ew(RING_LEN, 32)
    p.command(ENABLE)
    for _ in range(2):
        p.copy(p.data, p.data + 64, 64)
    p.ring()
    p.rig.run(5000)
    assert p.model.stalls == 1
    assert p.model.outcome(1).end == "moving"
    p.ew(CTRLSTS, RESET << 16)
    p.rig.run(1000)
    assert p.states == (ENABLED, DISABLED)
    p.ew(RING_LOW, p.evre_ring & 0xFFFFFFFF)
    p.ew(RING_LEN, 128)
    p.ew(CTRLSTS, ENABLE << 16)
    p.rig.run(5000)
    assert p.e(WRITE_PTR) == 0
    assert p.model.outcome(1) == Outcome("dropped", "data moved, RESET of EVCA before its event was written", 0, 0)


def test_reset_of_the_event_channel_lets_a_begun_transfer_wait_and_go_on() -> None:
    p = in_state(RUNNING, "evca")
    p.rig.run(300)
    p.ew(CTRLSTS, RESET << 16)
    p.rig.run(10_000)
    assert p.model.tre_done == 0
    assert p.rig.bytes(p.data + 0x10000, LONG) == bytes(LONG)
    p.ew(RING_LOW, p.evre_ring & 0xFFFFFFFF)
    p.ew(RING_LEN, 128)
    p.ew(CTRLSTS, ENABLE << 16)
    p.rig.run(10_000)
    assert p.rig.bytes(p.data + 0x10000, LONG) == p.rig.bytes(p.data, LONG)
    assert p.model.tre_done == 2
    assert p.e(WRITE_PTR) == 32


@pytest.mark.parametrize(
    ("cycles", "ends"), [(0, True), (1, False), (63, False), (64, True), (0xFFFFF, True), (0x100001, False)]
)
def test_a_reset_that_needs_longer_than_the_limit_stays_in_reset(cycles: int, ends: bool) -> None:
    p = in_state(ENABLED, "trca")
    p.rig.mw(CHRESET_TIMEOUT, cycles)
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(1_000_000)
    assert p.states[0] == (DISABLED if ends else IN_RESET)
    p.rig.mw(CHRESET_TIMEOUT, 64)
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(1000)
    assert p.states[0] == DISABLED


# --- SUSPEND, DISABLE, ENABLE ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "state"), [(SUSPEND, SUSPENDED), (DISABLE, DISABLED)])
@pytest.mark.parametrize("block", ["trca", "evca"])
def test_the_tre_being_moved_finishes_and_the_next_one_waits(command: int, state: int, block: str) -> None:
    p = in_state(RUNNING, block)
    side = 0 if block == "trca" else 1
    p.rig.run(300)
    (p.tw if block == "trca" else p.ew)(CTRLSTS, command << 16)
    assert p.states[side] == RUNNING
    p.rig.run(100_000)
    assert p.states[side] == state
    assert p.states[1 - side] == ENABLED
    assert p.model.tre_done == 1
    assert p.rig.bytes(p.data + 0x10000, LONG) == p.rig.bytes(p.data, LONG)
    assert p.rig.bytes(p.data + 0x20000, LONG) == bytes(LONG)
    assert (p.t(READ_PTR), p.t(WRITE_PTR), p.e(WRITE_PTR)) == (32, 64, 16)
    assert p.e(IRQ_STAT) == EOB
    (p.tw if block == "trca" else p.ew)(CTRLSTS, ENABLE << 16)
    p.rig.run(100_000)
    assert p.model.tre_done == 2
    assert p.rig.bytes(p.data + 0x20000, LONG) == p.rig.bytes(p.data, LONG)


def test_enable_calls_a_suspend_off_that_waits() -> None:
    p = in_state(RUNNING, "trca")
    p.tw(CTRLSTS, SUSPEND << 16)
    p.tw(CTRLSTS, ENABLE << 16)
    p.rig.run(100_000)
    assert p.model.tre_done == 2
    assert p.states == (ENABLED, ENABLED)


def test_suspend_with_a_full_event_ring_waits_for_the_event() -> None:
    p = in_state(DISABLED, "trca")
    p.ew(RING_LEN, 32)
    p.command(ENABLE)
    for _ in range(3):
        p.copy(p.data, p.data + 64, 64)
    p.ring()
    p.rig.run(5000)
    p.tw(CTRLSTS, SUSPEND << 16)
    p.rig.run(5000)
    assert p.states[0] == RUNNING
    p.ew(DOORBELL, 16)
    p.rig.run(1000)
    assert p.states[0] == SUSPENDED
    assert (p.model.tre_fetched, p.model.tre_done) == (2, 2)


@pytest.mark.parametrize("state", [DISABLED, SUSPENDED])
def test_a_doorbell_is_remembered(state: int) -> None:
    p = in_state(state, "trca")
    if state == DISABLED:
        p.ew(CTRLSTS, ENABLE << 16)
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    p.rig.run(1000)
    assert p.t(WRITE_PTR) == 32
    assert p.model.tre_fetched == 0
    assert p.model.outcome(0).end == "waiting"
    p.tw(CTRLSTS, ENABLE << 16)
    p.rig.run(1000)
    assert p.model.tre_done == 1


def test_a_doorbell_before_the_ring_registers_is_judged_when_the_channel_starts() -> None:
    p = rig().pairs[0]
    p.reset()
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    assert p.t(WRITE_PTR) == 0
    p.program()
    p.command(ENABLE)
    p.rig.run(1000)
    assert p.model.tre_done == 1
    assert p.t(WRITE_PTR) == 32


@pytest.mark.parametrize("state", [IN_RESET, ERROR])
def test_a_doorbell_is_dropped_and_counted(state: int) -> None:
    p = in_state(state, "trca")
    before = p.model.doorbells_dropped
    p.tw(DOORBELL, 32)
    assert p.model.doorbells_dropped == before + 1
    p.rig.run(10_000)
    p.reset()
    p.program()
    p.command(ENABLE)
    p.rig.run(1000)
    assert p.model.tre_fetched == 0


def test_both_blocks_must_be_enabled_to_move_data() -> None:
    p = in_state(DISABLED, "trca")
    p.copy(p.data, p.data + 64, 64)
    p.tw(CTRLSTS, ENABLE << 16)
    p.ring()
    p.rig.run(1000)
    assert p.model.tre_fetched == 0
    assert p.states == (ENABLED, DISABLED)
    p.ew(CTRLSTS, ENABLE << 16)
    assert p.states == (RUNNING, RUNNING)
    p.rig.run(1000)
    assert p.model.tre_done == 1


# --- STOPPED --------------------------------------------------------------------------------------------------------


def test_the_manager_stops_a_channel_after_the_tre_being_moved() -> None:
    p = in_state(RUNNING, "trca")
    p.rig.run(300)
    p.rig.mw(CFG, 0)
    assert p.states == (RUNNING, RUNNING)
    p.rig.run(10_000)
    assert p.states == (STOPPED, STOPPED)
    assert p.model.tre_done == 1
    p.command(ENABLE)
    assert p.states == (STOPPED, STOPPED)
    p.rig.mw(CFG, 1)
    assert p.states == (STOPPED, STOPPED)
    p.command(ENABLE)
    p.rig.run(10_000)
    assert p.states == (ENABLED, ENABLED)
    assert p.model.tre_done == 2


def test_a_channel_that_is_enabled_while_the_core_stands_waits_for_it() -> None:
    p = rig().pairs[0]
    p.rig.mw(CFG, 0)
    p.up()
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    p.rig.run(1000)
    assert p.model.tre_fetched == 0
    assert p.states == (ENABLED, ENABLED)
    p.rig.mw(CFG, 1)
    p.rig.run(1000)
    assert p.model.tre_done == 1


@pytest.mark.parametrize("state", [DISABLED, SUSPENDED, ERROR, IN_RESET])
def test_only_what_is_enabled_is_stopped(state: int) -> None:
    p = in_state(state, "trca")
    p.rig.mw(CFG, 0)
    assert p.states[0] == state


# --- interrupt ------------------------------------------------------------------------------------------------------


def test_the_line_is_the_and_of_status_and_enable_and_delivery() -> None:
    p = in_state(ENABLED, "trca")
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    p.rig.run(1000)
    assert (p.e(IRQ_STAT), p.line.level) == (EOB, 1)
    for offset, value, level in [
        (IRQ_EN, 0, 0),
        (IRQ_EN, ENABLE_IRQS & ~EOB, 0),
        (IRQ_EN, EOB, 1),
        (INTCTRL, 0, 0),
        (INTCTRL, 0xF1, 1),
        (INTCTRL, 2, 0),
        (INTCTRL, 0x11, 1),
        (IRQ_CLR, DATA_READ, 1),
        (IRQ_CLR, 0, 1),
        (IRQ_CLR, EOB, 0),
    ]:
        p.ew(offset, value)
        assert p.line.level == level, (hex(offset), hex(value))
    assert p.e(IRQ_CLR) == 0
    assert p.model.irqs == 4


def test_a_cause_that_is_raised_again_after_it_was_cleared_is_a_new_interrupt() -> None:
    p = in_state(ENABLED, "trca")
    for number in range(1, 4):
        p.copy(p.data, p.data + 64, 64)
        p.ring()
        p.rig.run(1000)
        assert p.line.level == 1
        p.ew(IRQ_CLR, EOB)
        assert p.line.level == 0
        assert p.line.raised == number


def test_registers_that_software_cannot_write() -> None:
    p = in_state(ENABLED, "trca")
    for read, write, offset in [
        (p.t, p.tw, READ_PTR),
        (p.t, p.tw, WRITE_PTR),
        (p.t, p.tw, CHIDX),
        (p.e, p.ew, READ_PTR),
        (p.e, p.ew, WRITE_PTR),
        (p.e, p.ew, IRQ_STAT),
    ]:
        before = read(offset)
        write(offset, 0xFFFFFFFF)
        assert read(offset) == before
    assert p.model.trca.writes_ignored == 3
    assert p.model.evca.writes_ignored == 3


def test_chidx_is_the_index_of_the_channel() -> None:
    assert [p.t(CHIDX) for p in Rig(channels=5).pairs] == [0, 1, 2, 3, 4]


def test_what_software_scribbles_over_read_only_words_of_a_shared_page_is_put_back() -> None:
    pages = [bytearray(4096), bytearray(4096)]
    r = Rig()
    core = HidmaCore(r.bus, r.smmu, name="shared", channels=2, instant=True)
    p = r.pairs[0]
    shared = core.add_channel(1, 0x1000, 0x2000, p.line, r.smmu.stream(9), trca_buffer=pages[0], evca_buffer=pages[1])
    p.model, p.trca, p.evca, p.index = shared, 0x1000, 0x2000, 1
    p.up()
    for _ in range(3):
        p.copy(p.data, p.data + 64, 8)
    p.ring()
    p.ew(DOORBELL, 16)
    truth = [bytes(page) for page in pages]
    words = [memoryview(page).cast("I") for page in pages]
    for offset in (CTRLSTS, READ_PTR, WRITE_PTR, CHIDX):
        words[0][offset >> 2] = 0xDEADBEEF
    for offset in (CTRLSTS, READ_PTR, WRITE_PTR, IRQ_STAT, IRQ_CLR):
        words[1][offset >> 2] = 0xDEADBEEF
    shared.restore()
    assert [bytes(page) for page in pages] == truth
    shared.trca.watched = 1
    assert shared.trca.execute(SUSPEND) == 1
    assert words[0][CTRLSTS >> 2] == SUSPENDED << 8
    p.copy(p.data, p.data + 64, 8)
    assert shared.ring_doorbell(128) == 1
    assert shared.trca.execute(ENABLE) == 1
    r.run(100)
    assert (shared.tre_done, p.line.level) == (4, 1)
    shared.clear(EOB)
    assert (words[1][IRQ_STAT >> 2], p.line.level) == (0, 0)


# --- the truth about TREs -------------------------------------------------------------------------------------------


def test_sequence_of_a_slot_and_outcome_of_a_sequence() -> None:
    p = Rig(entries=4).pairs[0].up()
    assert p.model.sequence_at(0) == -1
    for round in range(3):
        for i in range(3):
            before = p.model.accepted
            slot = 32 * p.tail
            p.copy(p.data, p.data + 64, 8)
            p.ring()
            assert before == 3 * round + i
            assert p.model.accepted == before + 1
            assert p.model.sequence_at(slot) == before
        p.events()
    assert p.model.outcome(8) == Outcome("completed", "", 1, 0)
    assert p.model.outcome(9).end == "unknown"
    assert p.model.outcome(-1).end == "unknown"
    assert p.model.sequence_at(1) == -1
    assert p.model.sequence_at(128) == -1
    p.reset()
    assert p.model.sequence_at(0) == -1
    assert p.model.outcome(8).end == "completed"


def test_what_a_reset_leaves_behind_is_said_for_each_tre() -> None:
    p = Rig(entries=8, instant=False).pairs[0].up()
    for _ in range(5):
        p.copy(p.data, p.data + 0x8000, 40 * 1024)
    p.ring()
    p.rig.run(6 * 1024)
    assert p.model.sequence_at(0) == 0
    assert p.model.sequence_at(4 * 32) == 4
    p.reset()
    ends = [p.model.outcome(i) for i in range(6)]
    assert [end.end for end in ends] == ["completed"] + ["dropped"] * 4 + ["unknown"]
    assert ends[1].cause == "RESET of TRCA after 0 of 40960 bytes"
    assert ends[2].cause == "RESET of TRCA before it was fetched"
    assert (p.model.tre_fetched, p.model.accepted) == (2, 5)
    p.program()
    p.command(ENABLE)
    p.copy(p.data, p.data + 0x8000, 64)
    p.ring()
    p.rig.run(1000)
    assert p.model.outcome(5).end == "completed"
    assert (p.model.tre_fetched, p.model.tre_done, p.model.accepted) == (3, 2, 6)


def test_the_longest_ring_there_can_be_is_counted_right() -> None:
    p = Rig(entries=4).pairs[0].up()
    p.command(SUSPEND)
    p.tw(RING_LEN, 0xFFFFFFFF)
    p.tw(DOORBELL, 0xFFFFFFC0)
    assert p.model.accepted == 0xFFFFFFC0 // 32
    p.model.tre_next = 64
    p.tw(DOORBELL, 32)
    assert p.model.waiting == 0xFFFFFFE0 // 32 - 1
    p.tw(RING_LEN, 32)
    p.tw(DOORBELL, 0)
    assert p.model.waiting == 0


def test_history_is_bounded_and_what_was_forgotten_is_unknown() -> None:
    p = Rig(entries=4).pairs[0].up()
    p.model.remember(0, 1, Outcome("dropped", "first"))
    for i in range(1, 66_000):
        p.model.remember(2 * i, 1, Outcome("dropped", "more"))
    p.model.sequence = 2 * 66_000
    assert len(p.model.history) <= 65_536
    assert p.model.outcome(0).end == p.model.outcome(1).end == "unknown"
    assert p.model.outcome(2 * 65_999 - 1).end == "completed"
    assert p.model.outcome(2 * 65_999).cause == "more"


# --- what the drivers do --------------------------------------------------------------------------------------------


def poll(p: Pair, read: object, wanted: tuple[int, ...]) -> None:
    """readl_poll_timeout: 1 ms sleeps, 10 ms at most."""
    for _ in range(12):
        value = read(CTRLSTS)  # type: ignore[operator]
        if value >> 8 & 0xFF in wanted:
            return
        p.rig.run(1_000_000)
    raise AssertionError("timed out")


def bring_up(p: Pair) -> None:
    """The register accesses of the setup that both drivers share, in their order."""
    p.ew(IRQ_EN, 0)
    p.ew(IRQ_CLR, p.e(IRQ_STAT))
    for read, write in ((p.t, p.tw), (p.e, p.ew)):
        write(CTRLSTS, (read(CTRLSTS) & ~(0xFF << 16)) | RESET << 16)
        poll(p, read, (DISABLED,))
    p.ew(IRQ_CLR, p.e(IRQ_STAT))
    p.ew(IRQ_EN, 0)
    p.tw(RING_LOW, p.tre_ring & 0xFFFFFFFF)
    p.tw(RING_HIGH, p.tre_ring >> 32)
    p.tw(RING_LEN, 32 * p.entries)
    p.ew(RING_LOW, p.evre_ring & 0xFFFFFFFF)
    p.ew(RING_HIGH, p.evre_ring >> 32)
    p.ew(RING_LEN, 16 * p.entries)
    p.ew(INTCTRL, (p.e(INTCTRL) & ~15) | 1)
    p.ew(IRQ_CLR, ENABLE_IRQS)
    p.ew(IRQ_EN, ENABLE_IRQS)
    for read, write in ((p.e, p.ew), (p.t, p.tw)):
        write(CTRLSTS, (read(CTRLSTS) & ~(0xFF << 16)) | ENABLE << 16)
        poll(p, read, (ENABLED, RUNNING))
    p.tail = p.head = 0


def test_the_drivers_setup_transfer_error_and_recovery() -> None:
    p = rig().pairs[0]
    bring_up(p)
    assert p.line.level == 0
    data = p.random_bytes(0, 256)
    p.copy(p.data + 4096, p.data, 256)
    p.ring()
    p.rig.run(1000)
    assert p.line.level == 1
    assert p.e(IRQ_STAT) & p.e(IRQ_EN) == EOB
    assert p.events() == [(0x10000023, 256, (p.data + 4096) & 0xFFFFFFFF, 0)]
    assert p.rig.bytes(p.data + 4096, 256) == data
    p.copy(p.data, 0x1000, 64)
    p.ring()
    p.rig.run(1000)
    cause = p.e(IRQ_STAT) & p.e(IRQ_EN)
    assert cause == DATA_READ
    p.ew(IRQ_CLR, cause)  # V14: clear, then set everything up again inside the handler
    bring_up(p)
    p.copy(p.data + 8192, p.data, 256)
    p.ring()
    p.rig.run(1000)
    assert len(p.events()) == 1
    assert p.rig.bytes(p.data + 8192, 256) == data


def test_the_drivers_pause_and_resume() -> None:
    p = rig().pairs[0]
    bring_up(p)
    for _ in range(3):
        p.copy(p.data + 0x10000, p.data, LONG)
    p.ring()
    for read, write in ((p.t, p.tw), (p.e, p.ew)):
        write(CTRLSTS, (read(CTRLSTS) & ~(0xFF << 16)) | SUSPEND << 16)
        poll(p, read, (SUSPENDED,))
    assert p.model.tre_done == 1
    for read, write in ((p.e, p.ew), (p.t, p.tw)):
        write(CTRLSTS, (read(CTRLSTS) & ~(0xFF << 16)) | ENABLE << 16)
        poll(p, read, (ENABLED, RUNNING))
    p.rig.run(100_000)
    assert p.model.tre_done == 3
