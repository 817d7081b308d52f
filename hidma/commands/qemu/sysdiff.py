# SPDX-License-Identifier: GPL-2.0-only
"""One script in the shell of a real kernel and in ours: what it prints, side by side, and why it differs.

The script's lines are laid side by side by what they are about (a path, a value and the file it is written to); of a script of the
user's, each line is about itself. A difference is named by the row of the quirks behind it or by what later kernels do otherwise,
and is a fault of one side where neither is known.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib import resources
from pathlib import Path

from hidma.commands.mount.fuse import Unusable, binding, check_device
from hidma.commands.output import Scratch
from hidma.commands.qemu.board import Layout, dsdt
from hidma.commands.qemu.errors import QemuError
from hidma.quirks import BY_NUMBER

#: Where a record is about something that is known to differ: the row, or the reason.
KNOWN: tuple[tuple[re.Pattern[str], int | str], ...] = tuple((re.compile(pattern), why) for pattern, why in (
    (r"QCOM8060:00/max_(rd|wr|read|write)_|module/hdma_mgmt/parameters", 25),
    (r"drivers/hidma-mgmt/bind", 54),
    (r"QCOM8061:00/chid", 21),
    (r"/module/\w+/coresize", "a module of another build"),
    (r"/wakeup\b", "later kernels give a device a wakeup source"),
    (r"/debug/dmaengine", "later kernels list the channels in debugfs"),
    (r"/uevent", "later kernels refuse an action that they do not know; 4.5 logs it and takes the write"),
    (r"drivers/hidma/bind", "later kernels say EBUSY of a device that is bound, 4.5 ENODEV"),
))
#: Kernel addresses (hashed by later kernels) and those of rings, the head of a WARN, and what a real kernel logs around it.
ADDRESS = re.compile(r"(?<==)(?:[0-9a-f]{16}|\(_+ptrval_+\))(?=\|)|(?<=_ring_handle=)0x[0-9a-f]{16}")
WARNING = re.compile(r"(?<=dmesg: )WARNING: ")
TRACE = re.compile(r"    dmesg: ( |CPU: |Hardware name: |Call trace:|Modules linked|pstate: |pc : |lr : |sp : |x\d|Code: |--+\[)")
KEY = re.compile(r"(link|file|directory) \S+|write '.*' to \S+(?=:)")


@dataclass(frozen=True)
class Difference:
    """A record that is not the same on both sides; None where a side has none. ``why`` is a row, a reason, or None."""

    key: str
    real: str | None
    ours: str | None
    why: int | str | None


def records(text: str) -> list[tuple[str, str]]:
    """What each record of a script's output is about, and all of it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if TRACE.match(line):
            continue
        line = WARNING.sub("", ADDRESS.sub("ADDRESS", line))
        if line.startswith("    ") and found:
            found[-1] = found[-1][0], f"{found[-1][1]}\n{line}"
        else:
            key = KEY.match(line)
            found.append((key[0] if key else line, line))
    return found


def reason(key: str, text: str) -> int | str | None:
    row = re.search(r"\(V14 row (\d+)\)", text)
    return int(row[1]) if row else next((why for pattern, why in KNOWN if pattern.search(key)), None)


def compared(real: str, ours: str) -> tuple[int, list[Difference]]:
    """How many records are the same, and those that are not."""
    left, right = records(real), records(ours)
    same = 0
    found: list[Difference] = []
    for kind, a, b, c, d in SequenceMatcher(None, [key for key, _ in left], [key for key, _ in right], False).get_opcodes():
        pairs: list[tuple[str, str | None, str | None]] = [(key, text, None) for key, text in left[a:b]]
        pairs += [(key, None, text) for key, text in right[c:d]]
        if kind == "equal":
            pairs = [(key, text, other) for (key, text), (_, other) in zip(left[a:b], right[c:d], strict=True)]
        for key, one, other in pairs:
            if one == other:
                same += 1
            else:
                found.append(Difference(key, one, other, reason(key, f"{one}\n{other}")))
    # a directory that one side has alone stands for all that is in it
    alone = tuple(f"{each.key.removeprefix('directory ')}/" for each in found
                  if each.key.startswith("directory ") and None in (each.real, each.ours))
    return same, [each for each in found if not each.key.partition(" ")[2].startswith(alone)]


def table(release: str, same: int, found: Sequence[Difference]) -> Iterator[str]:
    """The differences for people, by why they are there."""
    unknown = sum(difference.why is None for difference in found)
    yield f"{same} records are the same, {len(found)} differ, {unknown} of them for no known reason"
    width = max(len(release), 10)
    for why in sorted({difference.why for difference in found}, key=lambda why: (why is not None, str(why).zfill(3))):
        title = f"row {why}: {BY_NUMBER[why].title}" if isinstance(why, int) else why
        yield f"\n{title or 'no known reason: a fault of one side'}"
        for difference in found:
            if difference.why == why:
                yield f"  {difference.key}"
                for name, text in ((release, difference.real), ("V14 (port)", difference.ours)):
                    shown = "nothing" if text is None else text.removeprefix(difference.key).lstrip(": ") or "this line"
                    for label, line in zip((name, *[""] * shown.count("\n")), shown.splitlines(), strict=True):
                        yield f"    {label:<{width}}  {line.strip()}"


def script_of(path: str | None) -> bytes:
    """The user's script, or the one that belongs here.

    :raises QemuError: it cannot be read, or ``hidma shell`` cannot run one here
    """
    try:
        binding()
        check_device()
    except Unusable as error:
        raise QemuError(f"the script cannot run in hidma shell: {error}") from None
    if path is None:
        return resources.files("hidma.commands.qemu").joinpath("sysdiff.sh").read_bytes()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise QemuError(f"{path}: {error.strerror}; a script for the guest's shell is to be named") from None


def ours(script: bytes, layout: Layout, cpus: int) -> str:
    """What the script prints in ``hidma shell``, on a board with the guest's hardware.

    :raises QemuError: when it does not run
    """
    with Scratch(prefix="hidma-qemu-") as directory:
        board, file = Path(directory, "board.aml"), Path(directory, "script")
        board.write_bytes(dsdt(layout, cpus))
        file.write_bytes(script)
        done = subprocess.run([sys.executable, "-m", "hidma", "shell", "--board", str(board), str(file)], capture_output=True,
                              stdin=subprocess.DEVNULL)
    if done.returncode and not done.stdout:
        raise QemuError(f"the script does not run in hidma shell: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")
