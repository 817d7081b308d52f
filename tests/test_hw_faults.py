# SPDX-License-Identifier: GPL-2.0-only
"""Injected faults: their language, word for word, and what each of them does."""

from __future__ import annotations

import pytest
from hw_rig import (
    CTRLSTS,
    DATA_READ,
    DATA_WRITE,
    DISABLE,
    DISABLED,
    ENABLE,
    ENABLED,
    EOB,
    ERROR,
    EVENT_WRITE,
    IN_RESET,
    IRQ_STAT,
    RESET,
    RUNNING,
    SUSPEND,
    SUSPENDED,
    TRE_READ,
    WRITE_PTR,
    Pair,
    Rig,
)

from hidma.hw.channel import Outcome
from hidma.hw.faults import KINDS, parse, reference

NAMES = (
    "burst, read-burst, write-burst, tre-fetch, evre-write, reset-stuck, enable-stuck, suspend-stuck, disable-stuck, "
    "irq-lost, irq-late, irq-dup, irq-spurious, write-ptr, evre"
)
WHEN = "write 3 (the third), 3+ (from the third on), 3-5 (the third to the fifth) or * (every one)"


# --- the language ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"fault '': it names no kind; a fault is KIND[:ARGUMENT][:WHEN][@chanN], the kinds are {NAMES}"),
        (":3", f"fault ':3': it names no kind; a fault is KIND[:ARGUMENT][:WHEN][@chanN], the kinds are {NAMES}"),
        ("brst:3", f"fault 'brst:3': there is no kind 'brst', did you mean burst; the kinds are {NAMES}"),
        ("xyzzy", f"fault 'xyzzy': there is no kind 'xyzzy'; the kinds are {NAMES}"),
        ("burst:0", f"fault 'burst:0': '0' does not say when, for counting goes up from 1; {WHEN}"),
        ("burst:5-3", f"fault 'burst:5-3': '5-3' does not say when, for counting goes up from 1; {WHEN}"),
        ("burst:x", f"fault 'burst:x': 'x' does not say when; {WHEN}"),
        ("burst:-1", f"fault 'burst:-1': '-1' does not say when; {WHEN}"),
        ("burst:+", f"fault 'burst:+': '+' does not say when; {WHEN}"),
        ("burst:", f"fault 'burst:': '' does not say when; {WHEN}"),
        ("burst:1:2", "fault 'burst:1:2': ':2' is too much; it is written burst[:WHEN][@chanN]"),
        ("burst:1@2", "fault 'burst:1@2': '@2' names no channel; write @chan0, @chan1 and so on"),
        ("burst@chan", "fault 'burst@chan': '@chan' names no channel; write @chan0, @chan1 and so on"),
        ("burst@chan-1", "fault 'burst@chan-1': '@chan-1' names no channel; write @chan0, @chan1 and so on"),
        ("reset-stuck", "fault 'reset-stuck': the block is missing; write for example reset-stuck:trca"),
        ("reset-stuck:foo", "fault 'reset-stuck:foo': 'foo' is no block; write reset-stuck:trca or reset-stuck:evca"),
        (
            "enable-stuck:evca:1:1",
            "fault 'enable-stuck:evca:1:1': ':1' is too much; it is written enable-stuck:BLOCK[:WHEN][@chanN]",
        ),
        ("irq-late", "fault 'irq-late': the time is missing; write for example irq-late:2us"),
        ("irq-late:2", "fault 'irq-late:2': '2' is no time; write 500ns, 2us or 1ms"),
        ("irq-late:us", "fault 'irq-late:us': 'us' is no time; write 500ns, 2us or 1ms"),
        ("irq-late:-2us", "fault 'irq-late:-2us': '-2us' is no time; write 500ns, 2us or 1ms"),
        ("write-ptr", "fault 'write-ptr': the value is missing; write for example write-ptr:80"),
        ("write-ptr:abc", "fault 'write-ptr:abc': 'abc' is no offset of 32 bits; write write-ptr:80 or write-ptr:0x50"),
        (
            "write-ptr:0x100000000",
            "fault 'write-ptr:0x100000000': '0x100000000' is no offset of 32 bits; "
            "write write-ptr:80 or write-ptr:0x50",
        ),
        ("evre", "fault 'evre': what the event says is missing; write for example evre:code=4,info=9:2"),
        ("evre:code=16", "fault 'evre:code=16': code goes from 0 to 15, not '16'"),
        ("evre:info=x", "fault 'evre:info=x': info goes from 0 to 15, not 'x'"),
        (
            "evre:size=3",
            "fault 'evre:size=3': 'size=3' is no part of an event; "
            "write evre:code=4, evre:info=9 or evre:code=4,info=9",
        ),
        (
            "burst:3;;evre-write",
            f"fault '': it names no kind; a fault is KIND[:ARGUMENT][:WHEN][@chanN], the kinds are {NAMES}",
        ),
    ],
)
def test_bad_text_gets_one_sentence_with_what_would_be_right(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "first", "last", "channel", "value"),
    [
        ("burst", 1, 1, -1, 0),
        ("burst:3", 3, 3, -1, 0),
        ("burst:3+", 3, 1 << 62, -1, 0),
        ("burst:3-5@chan2", 3, 5, 2, 0),
        ("tre-fetch:*", 1, 1 << 62, -1, 0),
        ("reset-stuck:trca", 1, 1 << 62, -1, 0),
        ("reset-stuck:evca:2", 2, 2, -1, 0),
        ("irq-late:2us:4@chan11", 4, 4, 11, 2000),
        ("irq-late:1ms", 1, 1, -1, 1_000_000),
        ("irq-late:7ns", 1, 1, -1, 7),
        ("write-ptr:0x50", 1, 1, -1, 80),
        ("evre:info=9,code=4:2", 2, 2, -1, 0x49),
        ("evre:info=9", 1, 1, -1, 0x19),
        ("evre:code=0", 1, 1, -1, 0),
    ],
)
def test_text_that_is_right(text: str, first: int, last: int, channel: int, value: int) -> None:
    plan = parse(text)
    (rule,) = plan.rules
    assert (rule.first, rule.last, rule.channel, rule.value) == (first, last, channel, value)
    assert str(plan) == text


def test_several_faults_in_one_text() -> None:
    plan = parse("burst:3 ; irq-lost@chan1;evre-write:5")
    assert [rule.text for rule in plan.rules] == ["burst:3", "irq-lost@chan1", "evre-write:5"]
    assert repr(plan.rules[0]) == "FaultRule('burst:3')"


def test_a_fault_for_a_channel_that_is_not_there_is_refused_as_a_whole() -> None:
    rig = Rig(channels=2)
    with pytest.raises(ValueError) as caught:
        rig.core.inject("burst;burst@chan2")
    assert str(caught.value) == "fault 'burst@chan2': there is no channel 2; the channels here are 0, 1"
    assert [p.model.armed for p in rig.pairs] == [0, 0]


def test_every_kind_is_in_the_reference_and_its_example_is_right() -> None:
    text = reference()
    for kind in KINDS:
        assert parse(kind.example).rules[0].text == kind.example
        assert f"   * - ``{kind.name}``\n     - ``{kind.example}``" in text


# --- what they do ---------------------------------------------------------------------------------------------------


def pair(faults: str = "", **options: object) -> Pair:
    rig = Rig(**{"entries": 8, "instant": True, **options})  # type: ignore[arg-type]
    p = rig.pairs[0].up()
    if faults:
        rig.core.inject(faults)
    return p


def send(p: Pair, count: int = 1, length: int = 64) -> None:
    for _ in range(count):
        p.copy(p.data + 0x10000, p.data, length)
    p.ring()


@pytest.mark.parametrize(
    ("faults", "cause", "moved", "text"),
    [
        ("burst:3", DATA_READ, 1024, "burst at 0x{s1:x} could not be read (injected), after 1024 of 4096 bytes"),
        ("burst:4", DATA_WRITE, 1024, "burst at 0x{d1:x} could not be written (injected), after 1024 of 4096 bytes"),
        ("read-burst:2", DATA_READ, 1024, "burst at 0x{s1:x} could not be read (injected), after 1024 of 4096 bytes"),
        ("write-burst:1", DATA_WRITE, 0, "burst at 0x{d0:x} could not be written (injected), after 0 of 4096 bytes"),
        (
            "write-burst:4",
            DATA_WRITE,
            3072,
            "burst at 0x{d3:x} could not be written (injected), after 3072 of 4096 bytes",
        ),
    ],
)
def test_a_burst_that_fails(faults: str, cause: int, moved: int, text: str) -> None:
    p = pair(faults)
    data = p.random_bytes(0, 4096)
    send(p, 2, 4096)
    assert p.e(IRQ_STAT) == cause
    assert p.states == (ERROR, ERROR)
    assert p.rig.bytes(p.data + 0x10000, 4096) == data[:moved] + bytes(4096 - moved)
    places = {f"{key}{i}": base + 1024 * i for key, base in (("s", p.data), ("d", p.data + 0x10000)) for i in range(4)}
    assert p.model.outcome(0) == Outcome("failed", text.format(**places))
    assert p.model.outcome(1).end == "waiting"
    assert p.e(WRITE_PTR) == 0
    assert p.rig.smmu.count == 0


def test_bursts_are_counted_over_descriptors_and_channels() -> None:
    rig = Rig(channels=2)
    one, two = (p.up() for p in rig.pairs)
    rig.core.inject("read-burst:3")
    send(one, 2)
    assert one.states == (ENABLED, ENABLED)
    send(two, 1)
    assert two.states == (ERROR, ERROR)
    send(one, 1)
    assert one.states == (ENABLED, ENABLED)


def test_a_rule_for_one_channel_counts_there_only() -> None:
    rig = Rig(channels=2)
    one, two = (p.up() for p in rig.pairs)
    rig.core.inject("read-burst:2@chan1")
    send(one, 3)
    send(two, 1)
    assert (one.states, two.states) == ((ENABLED, ENABLED), (ENABLED, ENABLED))
    send(two, 1)
    assert two.states == (ERROR, ERROR)


def test_a_tre_fetch_that_fails() -> None:
    p = pair("tre-fetch:2")
    send(p, 3)
    assert p.e(IRQ_STAT) == EOB | TRE_READ
    assert p.states == (ERROR, ERROR)
    assert (p.model.tre_fetched, p.model.tre_done) == (1, 1)
    assert p.model.outcome(1) == Outcome("failed", f"TRE at 0x{p.tre_ring + 32:x} could not be fetched (injected)")


def test_an_event_write_that_fails() -> None:
    p = pair("evre-write:2")
    data = p.random_bytes(0, 64)
    send(p, 3)
    assert p.e(IRQ_STAT) == EOB | EVENT_WRITE
    assert p.states == (ERROR, ERROR)
    assert p.e(WRITE_PTR) == 16
    assert p.rig.bytes(p.data + 0x10000, 64) == data
    assert p.model.outcome(1) == Outcome("failed", f"event at 0x{p.evre_ring + 16:x} could not be written (injected)")


@pytest.mark.parametrize("block", ["trca", "evca"])
def test_a_reset_that_never_completes(block: str) -> None:
    p = pair(f"reset-stuck:{block}")
    side = 0 if block == "trca" else 1
    for _ in range(3):
        p.tw(CTRLSTS, RESET << 16)
        p.ew(CTRLSTS, RESET << 16)
        p.rig.run(20_000_000)
        assert p.states[side] == IN_RESET
        assert p.states[1 - side] == DISABLED


@pytest.mark.parametrize("block", ["trca", "evca"])
def test_an_enable_that_never_completes(block: str) -> None:
    p = pair()
    p.command(DISABLE)
    p.rig.core.inject(f"enable-stuck:{block}:1")
    p.command(ENABLE)
    p.rig.run(20_000_000)
    assert p.states == ((DISABLED, ENABLED) if block == "trca" else (ENABLED, DISABLED))
    p.command(ENABLE)
    assert p.states == (ENABLED, ENABLED)
    assert p.model.armed == 0


@pytest.mark.parametrize("block", ["trca", "evca"])
@pytest.mark.parametrize(
    ("name", "command", "state"), [("suspend", SUSPEND, SUSPENDED), ("disable", DISABLE, DISABLED)]
)
def test_a_suspend_or_disable_that_never_completes(name: str, command: int, state: int, block: str) -> None:
    p = pair(f"{name}-stuck:{block}:1")
    write = p.tw if block == "trca" else p.ew
    write(CTRLSTS, command << 16)
    p.rig.run(20_000_000)
    assert p.states == (ENABLED, ENABLED)
    send(p)
    assert p.model.tre_fetched == 0
    write(CTRLSTS, command << 16)
    assert p.states[0 if block == "trca" else 1] == state
    write(CTRLSTS, ENABLE << 16)
    assert p.model.tre_done == 1


def test_a_reset_ends_a_stuck_suspend() -> None:
    p = pair("suspend-stuck:trca")
    p.tw(CTRLSTS, SUSPEND << 16)
    p.reset()
    assert p.states == (DISABLED, DISABLED)


def test_a_lost_interrupt_leaves_the_cause_and_the_next_event_raises_the_line() -> None:
    p = pair("irq-lost:1")
    send(p)
    assert (p.e(IRQ_STAT), p.line.level, p.ear.heard) == (EOB, 0, [])
    send(p)
    assert p.line.level == 1
    assert len(p.events()) == 2
    assert p.line.level == 0
    assert p.model.irqs == 1


def test_after_a_lost_interrupt_that_was_polled_all_is_as_ever() -> None:
    p = pair("irq-lost:1")
    send(p)
    assert len(p.events()) == 1
    send(p)
    assert [level for _, level in p.ear.heard] == [1]


def test_a_late_interrupt() -> None:
    p = pair("irq-late:2us")
    start = p.rig.clock.now
    send(p)
    assert (p.e(IRQ_STAT), p.line.level) == (EOB, 0)
    p.rig.run(10_000)
    assert p.ear.heard == [(start + 2000, 1)]
    p.events()
    start = p.rig.clock.now
    send(p)
    assert p.ear.heard[-1] == (start, 1)


def test_a_late_interrupt_that_nobody_needs_any_more_does_not_come() -> None:
    p = pair("irq-late:2us")
    send(p)
    p.events()
    p.rig.run(10_000)
    assert p.ear.heard == []


def test_an_interrupt_that_comes_twice() -> None:
    p = pair("irq-dup")
    send(p)
    p.events()
    assert [level for _, level in p.ear.heard] == [1, 0, -1]
    send(p)
    p.events()
    assert [level for _, level in p.ear.heard] == [1, 0, -1, 1, 0]


def test_a_spurious_interrupt_is_a_pulse_with_no_cause() -> None:
    p = pair("irq-spurious:2")
    p.copy(p.data, p.data + 64, 64, ieob=0)
    p.copy(p.data, p.data + 64, 64, ieob=0)
    p.ring()
    assert [level for _, level in p.ear.heard] == [-1]
    assert (p.e(IRQ_STAT), p.line.level) == (0, 0)
    p.model.spurious()
    assert [level for _, level in p.ear.heard] == [-1, -1]


def test_an_injected_read_fault_is_named_although_what_was_read_cannot_be_written() -> None:
    rig = Rig(managed=True)
    rig.mw(0x400, 1)
    rig.mw(0x41C, 1024 << 16 | 128)
    rig.mw(0x420, 31 << 16 | 31)
    p = rig.pairs[0].up()
    rig.core.inject("read-burst:2")
    p.copy(0x1000, p.data, 1024)
    p.ring()
    assert p.model.outcome(0).cause == (
        f"burst at 0x{p.data + 128:x} could not be read (injected), after 0 of 1024 bytes"
    )


def test_a_wrong_write_pointer_is_shown_and_forgotten() -> None:
    p = pair("write-ptr:80:2")
    send(p)
    assert p.e(WRITE_PTR) == 16
    send(p)
    assert p.e(WRITE_PTR) == 80
    p.model.restore()  # as on a watched page, where the registers are put right from the model's own copies
    assert p.e(WRITE_PTR) == 80
    send(p)
    assert p.e(WRITE_PTR) == 48
    assert [p.rig.load(p.evre_ring + 16 * i, 1)[0] for i in range(4)] == [0x10000023] * 3 + [0]


def test_a_wrong_write_pointer_is_gone_after_reset() -> None:
    p = pair("write-ptr:0xFFFFFFFF")
    send(p)
    assert p.e(WRITE_PTR) == 0xFFFFFFFF
    p.reset()
    assert p.e(WRITE_PTR) == 0
    p.model.restore()  # as on a watched page
    assert p.e(WRITE_PTR) == 0


def test_an_event_with_another_code_and_info() -> None:
    p = pair("evre:code=4,info=9:2")
    data = p.random_bytes(0, 64)
    send(p, 3)
    assert [event[0] for event in p.events()] == [0x10000023, 0x49000023, 0x10000023]
    assert p.rig.bytes(p.data + 0x10000, 64) == data
    assert p.model.outcome(0) == p.model.outcome(2) == Outcome("completed", "", 1, 0)
    assert p.model.outcome(1) == Outcome("completed", "its event says code 4, info 9 (injected)", 4, 9)
    assert p.states == (ENABLED, ENABLED)


def test_faults_can_be_attached_and_detached_while_the_channel_works() -> None:
    p = pair(instant=False)
    send(p, 4, 4096)
    p.rig.run(700)
    assert p.states == (RUNNING, RUNNING)
    plan = p.rig.core.inject("write-burst:*")
    assert p.model.armed == 1
    p.rig.core.heal(plan)
    assert p.model.armed == 0
    p.rig.run(10_000)
    assert p.model.tre_done == 4


def test_a_plan_that_has_struck_costs_nothing_any_more() -> None:
    p = pair("evre:code=4;irq-dup:2")
    send(p)
    p.events()
    assert p.model.armed == 1
    send(p)
    p.events()
    assert (p.model.armed, p.model.rules) == (0, [])


def test_the_same_faults_strike_at_the_same_places() -> None:
    def story() -> list[object]:
        rig = Rig(channels=2, entries=16, instant=False, traced=True)
        for p in rig.pairs:
            p.up()
        rig.core.inject("read-burst:9;irq-late:300ns:2;evre:code=2:5@chan1;irq-lost:3")
        for p in rig.pairs:
            for i in range(10):
                p.copy(p.data, p.data + 0x8000, 700 * i + 1)
            p.ring()
        rig.run(50_000)
        return list(rig.log)

    first = story()
    assert first == story()
    assert [event[2] for _, event in first if event[0] == "inject"] == [
        "read-burst:9",
        "irq-late:300ns:2",
        "evre:code=2:5@chan1",
    ]


def test_the_engine_moves_the_same_with_a_plan_that_never_strikes() -> None:
    results = []
    for faults in ("", "burst:1000000"):
        p = pair(faults)
        p.random_bytes(0, 0x8000)
        p.copy(p.data + 0x3001, p.data + 0x2F00, 5000)
        p.copy(p.data + 0x100, 0x0102030405060708, 3000, kind=4)
        p.copy(p.data + 0x9000, p.data, 31)
        p.ring()
        results.append(
            (p.rig.bytes(p.data, 0x10000), p.model.read_bursts, p.model.write_bursts, p.model.bytes_moved, p.events())
        )
    assert results[0] == results[1]
