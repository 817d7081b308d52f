# SPDX-License-Identifier: GPL-2.0-only
"""The registers, descriptors, commands, states and interrupt causes of the HIDMA core, declared once, as rows of data.

The blocks (`block.py`, `channel.py`, `management.py`) build their behaviour from these rows, and :func:`reference`
builds the register reference of the documentation from them. The effect of a hook is in the block that has it.
registers.pxd has the constants for compiled modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

#: The largest u32: what a read gives where no register is.
ALL_ONES = 0xFFFFFFFF
PAGE = 4096
MAX_CHANNELS = 64
#: HW_VERSION of the hardware of the series.
VERSION_1_0 = 0x10000000

# Transfer channel (TRCA) and event channel (EVCA): byte offsets. The two share the first half.
CTRLSTS = 0x000
INTCTRL = 0x004
RING_LOW = 0x008
RING_HIGH = 0x00C
RING_LEN = 0x010
READ_PTR = 0x018
WRITE_PTR = 0x020
CHIDX = 0x028
IRQ_STAT = 0x100
IRQ_CLR = 0x108
IRQ_EN = 0x110
DOORBELL = 0x400

# Management block
QOS_N = 0x300
QOS_N_ALIAS = 0x700
CFG = 0x400
CHRESET_TIMEOUT = 0x418
MAX_BUS_REQ_LEN = 0x41C
MAX_XACTIONS = 0x420
HW_VERSION = 0x424

# CTRLSTS
COMMAND_SHIFT = 16
COMMAND_MASK = 0xFF
STATE_SHIFT = 8
STATE_MASK = 0xFF

DISABLE = 0
ENABLE = 1
SUSPEND = 2
RESET = 9

DISABLED = 0
ENABLED = 1
RUNNING = 2
SUSPENDED = 3
STOPPED = 4
ERROR = 5
IN_RESET = 9

# INTCTRL[3:0]
DELIVER_LINE = 1

# Causes in IRQ_STAT, IRQ_CLR and IRQ_EN
CAUSE_EOB = 0x0001
CAUSE_EVENT_WRITE = 0x0002
CAUSE_TRE_READ = 0x0200
CAUSE_DATA_READ = 0x0400
CAUSE_DATA_WRITE = 0x0800
CAUSE_INVALID_TRE = 0x4000
CAUSE_RESET_DONE = 0x8000

# Descriptors
TRE_SIZE = 32
EVRE_SIZE = 16
TRE_MEMCPY = 3
TRE_MEMSET = 4
TRE_IEOB = 0x10000
EVRE_DMA_COMPLETE = 0x23
EVRE_IMM_DATA = 0x24
EVRE_INFO_SHIFT = 24
EVRE_CODE_SHIFT = 28
CODE_COMPLETE = 1
CODE_ERROR = 4

# The effect of a write to a word beyond storing it (the codes of the per-offset tables).
PLAIN = 0
KEEPS = 1
HOOK_COMMAND = 2
HOOK_DOORBELL = 3
HOOK_CLEAR = 4
HOOK_LINE = 5
HOOK_QOS = 6
HOOK_CORE = 7
HOOK_BUS = 8
HOOK_LIMIT = 9

HOOKS = {"command": HOOK_COMMAND, "doorbell": HOOK_DOORBELL, "clear": HOOK_CLEAR, "line": HOOK_LINE, "qos": HOOK_QOS,
         "core": HOOK_CORE, "bus": HOOK_BUS, "limit": HOOK_LIMIT}


class Command(IntEnum):
    """CTRLSTS[23:16]: the command of software to a block."""

    DISABLE = DISABLE
    ENABLE = ENABLE
    SUSPEND = SUSPEND
    RESET = RESET


class State(IntEnum):
    """CTRLSTS[15:8]: the state of a block."""

    DISABLED = DISABLED
    ENABLED = ENABLED
    RUNNING = RUNNING
    SUSPENDED = SUSPENDED
    STOPPED = STOPPED
    ERROR = ERROR
    IN_RESET = IN_RESET


class Cause(IntFlag):
    """Bits of IRQ_STAT."""

    EOB = CAUSE_EOB
    EVENT_WRITE = CAUSE_EVENT_WRITE
    TRE_READ = CAUSE_TRE_READ
    DATA_READ = CAUSE_DATA_READ
    DATA_WRITE = CAUSE_DATA_WRITE
    INVALID_TRE = CAUSE_INVALID_TRE
    RESET_DONE = CAUSE_RESET_DONE


@dataclass(frozen=True)
class Field:
    """Bits ``high``..``low`` of a word, both included."""

    name: str
    high: int
    low: int
    description: str

    @property
    def mask(self) -> int:
        """The bits of the field, in place."""
        return (1 << (self.high + 1)) - (1 << self.low)

    @property
    def bits(self) -> str:
        """``[high:low]``, as the tables print it."""
        return f"[{self.high}]" if self.high == self.low else f"[{self.high}:{self.low}]"

    def of(self, value: int) -> int:
        """The value of the field in ``value``."""
        return (value & self.mask) >> self.low


@dataclass(frozen=True)
class Register:
    """One 32-bit register, or ``count`` of them in a row.

    :param name: as the documentation and traces print it
    :param offset: bytes from the start of the block
    :param description: one line
    :param fields: the named bits; bits that no field names are storage
    :param reset: value at power-on, u32
    :param read_only: the bits that a write leaves as they are, u32
    :param clears: the register in which a written 1 clears the bit (and of which nothing is stored here)
    :param hook: the effect of a write: a key of :data:`HOOKS`
    :param cleared: whether a RESET of the block brings it back to ``reset``
    :param count: how many of them lie 4 bytes apart
    :param alias: a second offset that is the same register, -1 when there is none
    """

    name: str
    offset: int
    description: str
    fields: tuple[Field, ...] = ()
    reset: int = 0
    read_only: int = 0
    clears: str = ""
    hook: str = ""
    cleared: bool = False
    count: int = 1
    alias: int = -1

    @property
    def access(self) -> str:
        """``RO``, ``RW``, ``RW*`` (some bits read-only) or ``W1C``."""
        if self.clears:
            return "W1C"
        if self.read_only == ALL_ONES:
            return "RO"
        return "RW*" if self.read_only else "RW"

    def decode(self, value: int) -> dict[str, int]:
        """The fields of ``value`` by name."""
        return {field.name: field.of(value) for field in self.fields}


_CTRLSTS = Register(
    "CTRLSTS",
    CTRLSTS,
    "Command and state. A write acts on the command alone, which reads back; the state is the hardware's.",
    (Field("command", 23, 16, "DISABLE, ENABLE, SUSPEND, RESET"), Field("state", 15, 8, "what the block is doing")),
    read_only=0xFF00FFFF,
    hook="command",
)
_CAUSES = (
    Field("EOB", 0, 0, "end of block: an event was delivered whose TRE asked for an interrupt"),
    Field("EVENT_WRITE", 1, 1, "an event could not be written"),
    Field("TRE_READ", 9, 9, "a TRE could not be fetched"),
    Field("DATA_READ", 10, 10, "a source could not be read"),
    Field("DATA_WRITE", 11, 11, "a destination could not be written"),
    Field("INVALID_TRE", 14, 14, "a TRE or a doorbell that makes no sense"),
    Field("RESET_DONE", 15, 15, "the reset of this block is over"),
)

TRCA: tuple[Register, ...] = (
    _CTRLSTS,
    Register("RING_LOW", RING_LOW, "TRE ring: bus address, low word, 32-byte aligned (lower bits are ignored).",
             cleared=True),
    Register("RING_HIGH", RING_HIGH, "TRE ring: bus address, high word.", cleared=True),
    Register("RING_LEN", RING_LEN, "TRE ring: bytes, a multiple of 32 (rounded down).", cleared=True),
    Register("READ_PTR", READ_PTR, "Byte offset of the next TRE to fetch.", read_only=ALL_ONES, cleared=True),
    Register("WRITE_PTR", WRITE_PTR, "The last doorbell value that was accepted.", read_only=ALL_ONES, cleared=True),
    Register("CHIDX", CHIDX, "Index of this channel in the core, and of its event channel.", read_only=ALL_ONES),
    Register("DOORBELL", DOORBELL, "Byte offset one past the last valid TRE.", hook="doorbell", cleared=True),
)

EVCA: tuple[Register, ...] = (
    _CTRLSTS,
    Register("INTCTRL", INTCTRL, "How interrupts are delivered.",
             (Field("delivery", 3, 0, "1: by the channel's interrupt line; anything else: not at all"),), hook="line",
             cleared=True),
    Register("RING_LOW", RING_LOW, "EVRE ring: bus address, low word, 16-byte aligned (lower bits are ignored).",
             cleared=True),
    Register("RING_HIGH", RING_HIGH, "EVRE ring: bus address, high word.", cleared=True),
    Register("RING_LEN", RING_LEN, "EVRE ring: bytes, a multiple of 16 (rounded down).", cleared=True),
    Register("READ_PTR", READ_PTR, "The last doorbell value: what software has consumed.", read_only=ALL_ONES,
             cleared=True),
    Register("WRITE_PTR", WRITE_PTR, "Byte offset where the next EVRE will be written.", read_only=ALL_ONES,
             cleared=True),
    Register("IRQ_STAT", IRQ_STAT, "Causes that wait to be cleared.", _CAUSES, read_only=ALL_ONES, cleared=True),
    Register("IRQ_CLR", IRQ_CLR, "Write 1 to clear a cause; reads as 0.", _CAUSES, read_only=ALL_ONES,
             clears="IRQ_STAT", hook="clear"),
    Register("IRQ_EN", IRQ_EN,
             "Causes that raise the line: it is up while IRQ_STAT & IRQ_EN is not 0 and INTCTRL.delivery is 1.",
             _CAUSES, hook="line", cleared=True),
    Register("DOORBELL", DOORBELL, "Byte offset up to which software has consumed events.", hook="doorbell",
             cleared=True),
)

MANAGEMENT: tuple[Register, ...] = (
    Register("QOS_N", QOS_N, "Share of channel n. V14 writes it at 0x300 + 4n, Linux 6.1 at 0x700 + 4n: one register.",
             (Field("priority", 15, 15, "1 goes before 0"), Field("weight", 14, 8, "grants of a turn; 0 counts as 1")),
             hook="qos", count=MAX_CHANNELS, alias=QOS_N_ALIAS),
    Register("CFG", CFG, "The core as a whole.",
             (Field("run", 0, 0, "1: the core runs; 0: no channel fetches, and those that were enabled are STOPPED"),),
             hook="core"),
    Register("CHRESET_TIMEOUT", CHRESET_TIMEOUT, "How long the reset of a channel may take.",
             (Field("cycles", 19, 0,
                    "cycles of 10 ns; a reset takes 64, and stays IN_RESET when this is less; 0: no limit"),),
             hook="limit"),
    Register("MAX_BUS_REQ_LEN", MAX_BUS_REQ_LEN, "Length of a burst.",
             (Field("write", 31, 16, "bytes of a write burst; 0 counts as 128"),
              Field("read", 15, 0, "bytes of a read burst; 0 counts as 128")), hook="bus"),
    Register("MAX_XACTIONS", MAX_XACTIONS, "Bursts back to back: the size of a grant.",
             (Field("write", 20, 16, "write bursts; 0 counts as 1"), Field("read", 4, 0, "read bursts; 0 counts as 1")),
             hook="bus"),
    Register("HW_VERSION", HW_VERSION, "Version of the hardware.",
             (Field("major", 31, 28, "1"), Field("minor", 19, 16, "0")), reset=VERSION_1_0, read_only=ALL_ONES),
)

#: The blocks of a core: short name, long name, rows.
BLOCKS: tuple[tuple[str, str, tuple[Register, ...]], ...] = (
    ("management", "Management block", MANAGEMENT),
    ("trca", "Transfer channel (TRCA)", TRCA),
    ("evca", "Event channel (EVCA)", EVCA),
)


@dataclass(frozen=True)
class Word:
    """One word of a descriptor in memory."""

    index: int
    description: str
    fields: tuple[Field, ...] = ()


TRE: tuple[Word, ...] = (
    Word(0, "What to do.",
         (Field("ieob", 16, 16, "interrupt on end of block"), Field("event_channel", 15, 8, "must be CHIDX"),
          Field("type", 7, 0, "3 memcpy, 4 memset"))),
    Word(1, "Length in bytes, not 0."),
    Word(2, "Source, low word; of a memset, bytes 0 to 3 of the pattern of 8 that is repeated."),
    Word(3, "Source, high word; of a memset, bytes 4 to 7 of the pattern."),
    Word(4, "Destination, low word."),
    Word(5, "Destination, high word."),
    Word(6, "Reserved."),
    Word(7, "Reserved."),
)

EVRE: tuple[Word, ...] = (
    Word(0, "What happened.",
         (Field("code", 31, 28, "1 complete, 4 error"), Field("info", 27, 24, "error info"),
          Field("type", 7, 0, "0x23 DMA complete, 0x24 immediate data"))),
    Word(1, "Length in bytes, as in the TRE."),
    Word(2, "Destination, low word."),
    Word(3, "Destination, high word."),
)

COMMANDS: tuple[tuple[int, str, str], ...] = (
    (DISABLE, "DISABLE", "as SUSPEND, then DISABLED; the pointers are kept"),
    (ENABLE, "ENABLE", "go on at READ_PTR; ignored while STOPPED and CFG.run is 0"),
    (SUSPEND, "SUSPEND", "the TRE being moved finishes and its event is delivered, then SUSPENDED; TREs not begun wait"),
    (RESET, "RESET", "at once, in every state: IN_RESET for 64 cycles, then DISABLED, with the registers marked below at 0"),
)

STATES: tuple[tuple[int, str, str], ...] = (
    (DISABLED, "DISABLED", "a doorbell is remembered"),
    (ENABLED, "ENABLED", "ready; data moves when TRCA and EVCA both are"),
    (RUNNING, "RUNNING", "TREs are being worked on"),
    (SUSPENDED, "SUSPENDED", "a doorbell is remembered"),
    (STOPPED, "STOPPED", "CFG.run was cleared while the channel was enabled"),
    (ERROR, "ERROR", "nothing moves until RESET of both blocks; ENABLE shows ENABLED meanwhile; a doorbell is dropped"),
    (IN_RESET, "IN_RESET", "no command but RESET is taken; a doorbell is dropped"),
)


def find(rows: tuple[Register, ...], offset: int) -> tuple[Register, int] | None:
    """The register of ``rows`` at byte ``offset`` and its number in its row of ``count``; None for plain storage."""
    for row in rows:
        for start in (row.offset, row.alias):
            if start >= 0 and start <= offset < start + 4 * row.count and not offset & 3:
                return row, (offset - start) >> 2
    return None


def name_of(rows: tuple[Register, ...], offset: int) -> str:
    """The name of the word at ``offset``: ``RING_LEN``, ``QOS_3``, or the offset itself."""
    found = find(rows, offset)
    if found is None:
        return f"0x{offset:03x}"
    row, number = found
    return row.name.replace("_N", f"_{number}") if row.count > 1 else row.name


def _table(header: tuple[str, ...], widths: tuple[int, ...], lines: Sequence[tuple[str, ...]]) -> list[str]:
    out = [".. list-table::", "   :header-rows: 1", "   :widths: " + " ".join(str(width) for width in widths), ""]
    for line in [header, *lines]:
        for number, cell in enumerate(line):
            out.append(("   * - " if number == 0 else "     - ") + cell)
    return [*out, ""]


def _title(text: str, underline: str) -> list[str]:
    return [text, underline * len(text), ""]


def _words(name: str, size: int, words: tuple[Word, ...]) -> list[str]:
    lines = []
    for word in words:
        lines.append((f"w{word.index}", "", word.description))
        lines.extend(("", f"``{field.bits}``", f"``{field.name}``: {field.description}") for field in word.fields)
    return [*_title(f"{name}, {size} bytes", "-"), *_table(("Word", "Bits", "Meaning"), (10, 15, 75), lines)]


def reference() -> str:
    """The register reference in reStructuredText: one section for each block and descriptor, made from the rows."""
    out: list[str] = []
    for label, title, rows in BLOCKS:
        out += [f".. _registers-{label}:", "", *_title(title, "-")]
        lines = []
        for row in rows:
            where = f"``0x{row.offset:03X}``" if row.count == 1 else f"``0x{row.offset:03X}`` + 4n"
            if row.alias >= 0:
                where += f", ``0x{row.alias:03X}`` + 4n"
            marks = " A RESET of the block clears it." if row.cleared else ""
            if row.clears:
                marks += f" Clears bits of ``{row.clears}``."
            reset = "channel index" if row.offset == CHIDX and rows is TRCA else f"``0x{row.reset:X}``"
            lines.append((where, f"``{row.name}``", row.access, reset, row.description + marks))
            lines += [("", f"``{field.bits}``", "", "", f"``{field.name}``: {field.description}") for field in row.fields]
        out += _table(("Offset", "Register", "Access", "Reset", "Meaning"), (18, 17, 8, 12, 45), lines)
    out += _title("Commands", "-")
    out += _table(("Value", "Command", "Effect"), (10, 20, 70), [(str(v), f"``{n}``", t) for v, n, t in COMMANDS])
    out += _title("States", "-")
    out += _table(("Value", "State", "Meaning"), (10, 20, 70), [(str(v), f"``{n}``", t) for v, n, t in STATES])
    out += _words("Transfer descriptor (TRE)", TRE_SIZE, TRE)
    out += _words("Event descriptor (EVRE)", EVRE_SIZE, EVRE)
    out += [
        "``RW*``: a write leaves some bits as they are. ``W1C``: write 1 to clear. All registers are 32 bits wide,",
        "little-endian and naturally aligned; offsets that no table names are plain storage.",
        "",
    ]
    return "\n".join(out)
