# SPDX-License-Identifier: GPL-2.0-only
"""``hidma ctl``: steer a machine that runs under ``hidma mount`` or ``hidma shell``. It stands for no C file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hidma.commands.options import UNUSABLE, print_error
from hidma.commands.shell.client import ask

SOCKET = "run/control"  # below the directory of a mount


@click.command(context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False,
                                 "ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="[DIR] PROGRAM [ARGUMENT]...", type=click.UNPROCESSED)
def ctl(words: tuple[str, ...]) -> int:
    """Run a program of a machine that is mounted on DIR: modprobe, rmmod, insmod, lsmod, modinfo, dmesg, dmatest, sleep, run.

    Without DIR it is the machine of the shell, or of the mount, that this runs below.

    Exit status: that of PROGRAM; 2 when there is no machine.
    """
    control = os.environ.get("HIDMA_CONTROL")
    if os.path.isdir(words[0]):
        link = Path(words[0], SOCKET)
        if not link.is_symlink():
            print_error(f"{words[0]} is no mount of a machine; mount one with: hidma mount {words[0]}")
            return UNUSABLE
        control, words = os.readlink(link), words[1:]
        if not words:
            raise click.UsageError("a program is missing, such as: dmesg")
    if not control:
        print_error(f"there is no machine here: hidma ctl DIR {words[0]} reaches one that is mounted on DIR")
        return UNUSABLE
    return ask(control, list(words))
