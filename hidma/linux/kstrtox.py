# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/kernel.h>``: kstrtoul() and its kin, and strtobool(), with exactly what they accept and refuse."""

from __future__ import annotations

from hidma.linux.errno import EINVAL, ERANGE

_DIGITS = b"0123456789abcdef"
ULLONG_MAX = (1 << 64) - 1


def kstrtoul(s: bytes, base: int) -> tuple[int, int]:
    """Convert a whole string to an unsigned 64-bit number.

    One leading ``+``, one trailing newline; with ``base`` 0, ``0x`` and a hex digit make it hexadecimal, a leading
    ``0`` octal. A NUL ends the string.

    :param s: the text as it was written
    :param base: 0, or 2 to 16
    :returns: (0, value), (-EINVAL, 0), (-ERANGE, 0) beyond 64 bits
    """
    s = s.split(b"\0")[0]
    if s[:1] == b"+":
        s = s[1:]
    lower = s.lower()
    if base == 0:
        base = 10
        if lower[:1] == b"0":
            base = 16 if lower[1:2] == b"x" and len(lower) > 2 and lower[2] in _DIGITS else 8
    if base == 16 and lower[:2] == b"0x":
        lower = lower[2:]
    value = 0
    length = 0
    for char in lower:
        digit = _DIGITS.find(char)
        if digit < 0 or digit >= base:
            break
        value = value * base + digit
        length += 1
    if value > ULLONG_MAX:
        return -ERANGE, 0
    if length == 0:
        return -EINVAL, 0
    if lower[length:] not in (b"", b"\n"):
        return -EINVAL, 0
    return 0, value


def kstrtouint(s: bytes, base: int) -> tuple[int, int]:
    """As :func:`kstrtoul`, -ERANGE beyond 32 bits."""
    rc, value = kstrtoul(s, base)
    return (-ERANGE, 0) if value > 0xFFFFFFFF else (rc, value)


def kstrtoint(s: bytes, base: int) -> tuple[int, int]:
    """A signed 32-bit number: as :func:`kstrtoul`, or ``-`` and digits without a ``+``."""
    if s[:1] != b"-":
        rc, value = kstrtoul(s, base)
        return (-ERANGE, 0) if value > 0x7FFFFFFF else (rc, value)
    if s[1:2] == b"+":
        return -EINVAL, 0
    rc, value = kstrtoul(s[1:], base)
    return (-ERANGE, 0) if value > 0x80000000 else (rc, -value)


def strtobool(s: bytes) -> tuple[int, bool]:
    """``y``, ``Y``, ``1`` and ``n``, ``N``, ``0``: only the first character counts in 4.5."""
    if s[:1] in (b"y", b"Y", b"1"):
        return 0, True
    if s[:1] in (b"n", b"N", b"0"):
        return 0, False
    return -EINVAL, False
