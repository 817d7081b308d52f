# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of C and of the port say the same thing: an alignment by the names, numbers and words that lines share, in
order. It knows no page and stands for no C file.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hidma.commands.portmap.compare import bare

#: What C and Python spell differently, as one word.
SAME = {"NULL": "none", "None": "none", "true": "1", "false": "0", "True": "1", "False": "0", "for": "while",
        "switch": "if", "elif": "if", "do": "while", "case": "if", "default": "else", "uninit": "uninit"}

#: Words that say little about what a line says.
NOISE = frozenset("""
    struct enum static const void int unsigned long char bool u8 u16 u32 u64 s32 size_t ssize_t inline goto self def class
    not and or in is as from import Any lambda sizeof extern volatile
""".split())

LITTLE = frozenset(("if", "else", "while", "return", "0", "1", "none", "ret", "rc", "val", "i", "dev"))

LEAST = 0.3
MOST_CELLS = 1_500_000

_WORD = re.compile(r'0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*')


@dataclass(frozen=True)
class Chunk:
    """Lines that stand beside each other: half-open ranges from 0."""

    left: tuple[int, int]
    right: tuple[int, int]


def words(line: str) -> frozenset[str]:
    """What a line is about."""
    found = set()
    for word in _WORD.findall(line):
        word = SAME.get(word, word)
        if word in NOISE:
            continue
        if word[0].isdigit():
            digits = word.lower()
            number = int(digits, 16) if digits.startswith("0x") else int(digits)
            found.add(str(number))
        else:
            found.add(bare(word) or word.lower())
    return frozenset(found)


def without_comments(lines: Sequence[str]) -> list[str]:
    """C lines without their comments."""
    text = "\n".join(lines)
    text = re.sub(r"/\*.*?(?:\*/|\Z)", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text).split("\n") if lines else []


def without_docstrings(lines: Sequence[str]) -> list[str]:
    """Python lines without docstrings and comments, for the comparison."""
    out = list(lines)
    text = "\n".join(lines) + "\n"
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return out
    before = tokenize.NEWLINE
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            out[row - 1] = out[row - 1][:column]
        elif token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL):
            for row in range(token.start[0], token.end[0] + 1):
                out[row - 1] = ""
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.type
    return out


def matches(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of lines, rising on both sides, so that what they share weighs most.

    :param left: lines of C
    :param right: lines of the port
    """
    a = [words(line) for line in without_comments(left)]
    b = [words(line) for line in without_docstrings(right)]
    if len(a) * len(b) > MOST_CELLS:
        return []
    seen = Counter(word for line in (*a, *b) for word in line)
    weight = {word: (0.25 if word in LITTLE else 1.0) / math.sqrt(count) for word, count in seen.items()}
    total_a, total_b = ([sum(weight[w] for w in line) for line in side] for side in (a, b))

    def score(i: int, j: int) -> float:
        shared = a[i] & b[j]
        if not shared:
            return 0.0
        gain = sum(weight[w] for w in shared)
        whole = max(total_a[i], total_b[j])
        return gain * gain / whole if gain / whole >= LEAST else 0.0

    width = len(b) + 1
    best = [[0.0] * width for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        row, below = best[i], best[i + 1]
        for j in range(len(b) - 1, -1, -1):
            value = max(below[j], row[j + 1])
            if a[i] and b[j]:
                value = max(value, below[j + 1] + score(i, j))
            row[j] = value
    pairs = []
    i = j = 0
    while i < len(a) and j < len(b):
        here = best[i][j]
        if here <= 0:
            break
        if a[i] and b[j] and score(i, j) > 0 and here == best[i + 1][j + 1] + score(i, j):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif here == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def chunks(left: Sequence[str], right: Sequence[str]) -> list[Chunk]:
    """All lines of both sides, cut where lines say the same; comments and blank lines go with what follows them."""
    pairs = matches(left, right)
    cuts = [(0, 0)]
    for i, j in pairs:
        while i > cuts[-1][0] and _leads(left[i - 1]) and i - 1 not in {p[0] for p in pairs}:
            i -= 1
        while j > cuts[-1][1] and _leads(right[j - 1]) and j - 1 not in {p[1] for p in pairs}:
            j -= 1
        if (i, j) != cuts[-1]:
            cuts.append((i, j))
    cuts.append((len(left), len(right)))
    return [Chunk((a, c), (b, d)) for (a, b), (c, d) in zip(cuts, cuts[1:], strict=False) if (a, b) != (c, d)]


def _leads(line: str) -> bool:
    """Whether a line belongs to what follows it: a comment, a decorator or nothing."""
    text = line.strip()
    return not text or text.startswith(("/*", "*", "#", "//", "@")) and not text.startswith(("#define", "#include"))


def rising(values: Sequence[int]) -> list[int]:
    """Indices of a longest rising subsequence."""
    least: list[int] = []  # the least last value of a subsequence of each length, and its index
    ends: list[int] = []
    before: list[int] = []
    for index, value in enumerate(values):
        length = bisect_left(least, value)
        before.append(ends[length - 1] if length else -1)
        least[length:length + 1], ends[length:length + 1] = [value], [index]
    found: list[int] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        found.append(at)
        at = before[at]
    return found[::-1]
