# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong around a guest, in sentences."""

from __future__ import annotations

from collections.abc import Sequence


class QemuError(Exception):
    """Something that keeps a guest from running or from coming to its end.

    :param sentence: what, where, and what would be right
    :param console: the last lines of the guest's console, oldest first
    """

    def __init__(self, sentence: str, console: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.console = list(console)
