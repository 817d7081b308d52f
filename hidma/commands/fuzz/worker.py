# SPDX-License-Identifier: GPL-2.0-only
"""The process that fuzzes one target: ``worker TARGET CRASHES OPTIONS-OF-LIBFUZZER CORPUS``. An exception is written down, once
for each place where it is raised, and the run goes on; what libFuzzer catches itself (a signal, an input that takes too long in
C, too much memory) ends the process. It stands for no C file.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType

import atheris

from hidma.plugin import watchdog

#: Seconds of processor time that an input may take.
LONGEST = 10


class TooLongError(BaseException):
    """An input takes longer than LONGEST; no Exception, so that no reader handles it."""


def too_long(_: int, frame: FrameType | None) -> None:
    raise TooLongError(f"it takes more than {LONGEST} s of processor time")


def place(error: BaseException) -> str:
    """What tells one fault from another: the exception, and the line of hidma that it comes from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/hidma/" in frame.filename]
    last = frames[-1] if frames and not isinstance(error, RecursionError | TooLongError) else None
    return f"{type(error).__name__} {last.filename if last else ''} {last.lineno if last else ''}"


def main(name: str, crashes: str, *options: str) -> None:
    watchdog.in_time.armed = True  # SIGALRM is libFuzzer's here
    signal.signal(signal.SIGVTALRM, too_long)
    seen: set[str] = set()
    with atheris.instrument_imports(include=["hidma", "reset_plugins", "unidiff"]):
        from hidma.commands.fuzz.targets import TARGETS

        target = TARGETS[name]

        def one(data: bytes) -> None:
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
            try:
                target.run(data)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if place(error) not in seen:
                    seen.add(place(error))
                    path = Path(crashes, hashlib.sha256(place(error).encode()).hexdigest()[:12])
                    path.write_bytes(data)
                    path.with_suffix(".txt").write_text("".join(traceback.format_exception(error, limit=-12)))
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)

        def change(data: bytes, longest: int, seed: int) -> bytes:
            if target.change is not None and seed % 4:
                with suppress(ValueError, RecursionError):
                    return target.change(data, seed)[:longest]
            return bytes(atheris.Mutate(data, longest))

        for data in target.inputs():  # imports what the target needs
            one(data)
        atheris.Setup(["fuzz", *options], one, custom_mutator=change if target.change else None)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
