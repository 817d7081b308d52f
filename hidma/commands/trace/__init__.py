# SPDX-License-Identifier: GPL-2.0-only
"""Traces to look at (``hidma trace``): everything that happens in a machine, as text, JSON, a track view, waves or a
diagram. In Python::

    with Recorder() as recorder:
        machine = hidma.boot()
        ...
    for event in recorder.machines()[0]:
        print(event.time, event.kind, event.text)

It stands for no C file.
"""

from hidma.commands.trace.events import KINDS, Event
from hidma.commands.trace.recorder import Filter, Recorder

__all__ = ["KINDS", "Event", "Filter", "Recorder"]
