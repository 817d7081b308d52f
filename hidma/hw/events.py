# SPDX-License-Identifier: GPL-2.0-only
"""The vocabulary of the hardware's trace: every event that `hidma.hw` sends to a trace is a tuple, its name first.

The time of an event is ``clock.now`` at the moment it is sent; times inside an event are ns since power-on too. Names
of blocks and channels are those that the machine gave them, offsets are bytes, values are u32, addresses are bus
addresses unless said otherwise. A sequence is the number of a TRE on its channel since power-on (``Channel.outcome``
takes it).

``("read", block, offset, value)``
    A CPU read a register.
``("write", block, offset, value)``
    A CPU wrote a register; the value as it was written.
``("command", block, command, taken)``
    A command reached CTRLSTS: ``taken`` is 1, or 0 if it is not valid in that state and was ignored.
``("state", block, old, new)``
    The state field changed.
``("doorbell", block, value, taken)``
    A doorbell was written: 1 accepted, 0 dropped, 2 remembered until the ring registers are set.
``("tre", channel, sequence, offset, words)``
    A TRE was fetched: its 8 words.
``("burst", channel, sequence, direction, address, bytes, count, start, end)``
    ``count`` bursts back to back moved ``bytes`` bytes; direction ``"read"`` or ``"write"``.
``("evre", channel, sequence, offset, words)``
    An EVRE was written: its 4 words.
``("stall", channel, sequence)``
    The event ring is full: the channel waits for the EVCA doorbell.
``("irq", channel, causes, status)``
    Causes were raised; IRQ_STAT after it.
``("line", line, level)``
    The channel drives its interrupt line to 0 or 1.
``("pulse", line)``
    The line rose and fell at once: a spurious interrupt.
``("error", channel, sequence, cause, text)``
    The channel went to ERROR with this cause bit.
``("fault", initiator, what, address, width, where)``
    An access was refused by the bus or the SMMU (`bus.py`).
``("inject", channel, text)``
    An injected fault took place.
"""

from __future__ import annotations

#: Name of each event and of what follows it.
EVENTS: dict[str, tuple[str, ...]] = {
    "read": ("block", "offset", "value"),
    "write": ("block", "offset", "value"),
    "command": ("block", "command", "taken"),
    "state": ("block", "old", "new"),
    "doorbell": ("block", "value", "taken"),
    "tre": ("channel", "sequence", "offset", "words"),
    "burst": ("channel", "sequence", "direction", "address", "bytes", "count", "start", "end"),
    "evre": ("channel", "sequence", "offset", "words"),
    "stall": ("channel", "sequence"),
    "irq": ("channel", "causes", "status"),
    "line": ("line", "level"),
    "pulse": ("line",),
    "error": ("channel", "sequence", "cause", "text"),
    "fault": ("initiator", "what", "address", "width", "where"),
    "inject": ("channel", "text"),
}
