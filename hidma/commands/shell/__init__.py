# SPDX-License-Identifier: GPL-2.0-only
"""A root shell on a booted machine: the language of ``bash`` as far as people type it, the commands that they use on
/sys, /proc and debugfs, with the error texts of bash, coreutils, kmod and util-linux. It stands for no C file.

There are no processes: every command is a function, and the files are those of the kernel of the machine.
"""

from hidma.commands.shell import commands as commands  # the table of commands is complete whenever there is a shell
