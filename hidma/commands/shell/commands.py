# SPDX-License-Identifier: GPL-2.0-only
"""The commands, with the options, lines and error texts of those that people know under these names. They are in the
rooms ``files``, ``text``, ``builtins`` and ``system``; importing this module fills the table.
"""

from hidma.commands.shell import builtins, files, system, text
from hidma.commands.shell.command import COMMANDS, HELP
from hidma.commands.shell.system import LOADABLE

__all__ = ["COMMANDS", "HELP", "LOADABLE", "builtins", "files", "system", "text"]
