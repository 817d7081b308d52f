# SPDX-License-Identifier: GPL-2.0-only
"""What an attribute says of itself: the one source of its documentation, kept where the attribute is declared.

It stands for the entries of Documentation/ABI; reading, checking and printing them is the business of ``hidma.commands.abi``.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AbiDoc:
    """One entry.

    :ivar what: paths with wildcards, as the entry's ``What:`` lists them
    :ivar mode: permission bits
    :ivar description: what it is; plain text, paragraphs separated by empty lines
    :ivar date: ``Date:``, month and year
    :ivar kernel_version: ``KernelVersion:``
    :ivar contact: ``Contact:``
    :ivar users: ``Users:``
    :ivar values: what a write accepts; empty for a file that is only read
    :ivar errors: errno of what is refused, with the reason
    :ivar driver: whose file it is: ``hidma-mgmt``, ``hidma``, or ``core`` for those of the kernel's core
    :ivar documented: paths under which the series documents the file, where they differ from the paths that the tree has
    """

    what: tuple[str, ...]
    mode: int
    description: str
    date: str = ""
    kernel_version: str = ""
    contact: str = ""
    users: str = ""
    values: str = ""
    errors: tuple[tuple[str, str], ...] = field(default=())
    driver: str = "core"
    documented: tuple[str, ...] = ()
