# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/bitops.h>``, ``<linux/log2.h>`` and the number helpers of ``<linux/kernel.h>``."""

from __future__ import annotations


def BIT(nr: int) -> int:
    """1 << nr."""
    return 1 << nr


def GENMASK(h: int, low: int) -> int:
    """Bits ``low`` to ``h`` set."""
    return ((1 << (h - low + 1)) - 1) << low


def is_power_of_2(n: int) -> bool:
    """Whether ``n`` is a power of two; 0 is not."""
    return n != 0 and (n & (n - 1)) == 0


def lower_32_bits(n: int) -> int:
    """Bits 31:0."""
    return n & 0xFFFFFFFF


def upper_32_bits(n: int) -> int:
    """Bits 63:32."""
    return (n >> 32) & 0xFFFFFFFF


def IS_ALIGNED(x: int, a: int) -> bool:
    """Whether ``x`` is a multiple of ``a``, a power of two."""
    return (x & (a - 1)) == 0
