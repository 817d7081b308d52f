# SPDX-License-Identifier: GPL-2.0-only
"""Documentation of the files of the tree, from ``texts``: in the kernel's own ABI format, on pages, and
checked against the tree in both directions.
"""

from hidma.commands.abi.entries import Entry, Problem, matches, read_file, render, validate
from hidma.commands.abi.tree import BOARDS, declared, files, generate, undefined

__all__ = ["BOARDS", "Entry", "Problem", "declared", "files", "generate", "matches", "read_file", "render",
           "undefined", "validate"]
