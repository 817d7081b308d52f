# SPDX-License-Identifier: GPL-2.0-only
"""Numbers from strings: the exact set that the kernel accepts."""

from __future__ import annotations

import random

import pytest

from hidma.linux.errno import EINVAL, ERANGE
from hidma.linux.kstrtox import kstrtoint, kstrtouint, kstrtoul, strtobool

BAD = (-EINVAL, 0)
TOO_BIG = (-ERANGE, 0)


@pytest.mark.parametrize(("text", "wanted"), [
    ("0", (0, 0)), ("1", (0, 1)), ("15", (0, 15)), ("15\n", (0, 15)), ("+15", (0, 15)), ("0015", (0, 13)),
    ("010", (0, 8)), ("0x10", (0, 16)), ("0X1f", (0, 31)), ("0xFf\n", (0, 255)), ("+0x10", (0, 16)), ("00", (0, 0)),
    ("18446744073709551615", (0, 2**64 - 1)), ("0xffffffffffffffff", (0, 2**64 - 1)),
    ("01777777777777777777777", (0, 2**64 - 1)), ("15\0rubbish", (0, 15)), ("4294967304", (0, 4294967304)),
    ("", BAD), ("\n", BAD), ("+", BAD), ("-1", BAD), ("abc", BAD), (" 1", BAD), ("1 ", BAD), ("1\n\n", BAD),
    ("\n1", BAD),
    ("++1", BAD), ("+-1", BAD), ("0x", BAD), ("0xg", BAD), ("08", BAD), ("1_000", BAD), ("1e3", BAD), ("1.0", BAD),
    ("0b1", BAD), ("0o7", BAD), ("\t1", BAD), ("\0", BAD), ("12a", BAD), ("0x 1", BAD), ("1\r\n", BAD),
    ("18446744073709551616", TOO_BIG), ("0x10000000000000000", TOO_BIG), ("9" * 5000, TOO_BIG),
    ("18446744073709551616x", TOO_BIG),
])
def test_base_0(text: str, wanted: tuple[int, int]) -> None:
    assert kstrtoul(text.encode(), 0) == wanted


@pytest.mark.parametrize(("text", "base", "wanted"), [
    ("10", 10, (0, 10)), ("010", 10, (0, 10)), ("0x10", 10, BAD), ("ff", 16, (0, 255)), ("0xff", 16, (0, 255)),
    ("0x", 16, BAD), ("77", 8, (0, 63)), ("78", 8, BAD), ("101", 2, (0, 5)), ("102", 2, BAD),
])
def test_other_bases(text: str, base: int, wanted: tuple[int, int]) -> None:
    assert kstrtoul(text.encode(), base) == wanted


def test_no_other_byte_is_a_digit() -> None:
    for byte in range(256):
        if chr(byte) in "0123456789":
            wanted = (0, 10 + byte - ord("0"))
        else:
            wanted = (0, 1) if chr(byte) in "\0\n" else BAD
        assert kstrtoul(bytes((ord("1"), byte)), 0) == wanted, byte


@pytest.mark.parametrize("seed", range(4))
def test_what_is_printed_is_read_back(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(500):
        value = rng.getrandbits(rng.randrange(1, 65))
        for text in (f"{value}", f"{value:#x}", f"0{value:o}", f"+{value}\n"):
            assert kstrtoul(text.encode(), 0) == (0, value), f"seed {seed}"


@pytest.mark.parametrize(("text", "wanted"), [
    ("4294967295", (0, 2**32 - 1)), ("4294967296", TOO_BIG), ("-1", BAD), ("0x1ffffffff", TOO_BIG), ("", BAD),
])
def test_unsigned_int(text: str, wanted: tuple[int, int]) -> None:
    assert kstrtouint(text.encode(), 0) == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    ("2147483647", (0, 2**31 - 1)), ("2147483648", TOO_BIG), ("-2147483648", (0, -(2**31))), ("-2147483649", TOO_BIG),
    ("-0x10", (0, -16)), ("-010\n", (0, -8)), ("+5", (0, 5)), ("-+5", BAD), ("--5", BAD), ("-", BAD), ("5-", BAD),
])
def test_int(text: str, wanted: tuple[int, int]) -> None:
    assert kstrtoint(text.encode(), 0) == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    ("y", (0, True)), ("Y\n", (0, True)), ("1", (0, True)), ("yes", (0, True)), ("n", (0, False)), ("N", (0, False)),
    ("0", (0, False)), ("nope", (0, False)), ("on", (-EINVAL, False)), ("true", (-EINVAL, False)),
    ("", (-EINVAL, False)), ("2", (-EINVAL, False)), (" y", (-EINVAL, False)),
])
def test_bool_looks_at_the_first_character_only(text: str, wanted: tuple[int, bool]) -> None:
    assert strtobool(text.encode()) == wanted
