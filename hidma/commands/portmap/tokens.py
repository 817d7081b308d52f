# SPDX-License-Identifier: GPL-2.0-only
"""Hashes of C code that say whether two versions of a body are the same: comments, white space and the way in which a
string is broken do not count, nor does a prefix or an ending that later versions put on a constant (``HIDMA_``, ``_REG``).
What is shipped of V14 is these hashes; its text cannot be had from them. It stands for no C file.
"""

from __future__ import annotations

import hashlib
import re

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\w+|[^\w\s]')
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
_DECORATION = re.compile(r"^HIDMA_|_(?:OFFSET|REG)$")


def tokens(code: str) -> list[str]:
    """The tokens of C code as they are compared.

    :param code: text with comments, the lines of a macro joined
    """
    found: list[str] = []
    for token in _TOKEN.findall(_COMMENT.sub(" ", code)):
        if token[0] == '"' and found and found[-1][0] == '"':
            found[-1] = found[-1][:-1] + token[1:]
        else:
            found.append(_DECORATION.sub("", token) if _CONSTANT.fullmatch(token) else token)
    return found


def digest(code: str) -> str:
    """Twelve hexadecimal digits for the tokens of ``code``."""
    return hashlib.sha256("\n".join(tokens(code)).encode()).hexdigest()[:12]
