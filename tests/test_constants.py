# SPDX-License-Identifier: GPL-2.0-only
"""A constant that a .pxd declares for C is the one that its .py has when it runs interpreted, and when it is compiled."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENUM = re.compile(r"^(cdef|cpdef) enum:\n((?:(?:    .*)?\n)+)", re.MULTILINE)
EXTERN = re.compile(r'^    (?:unsigned )?(?:int|long long) (\w+) "\(?(-?[0-9]\w*?)U?L*\)?"$', re.MULTILINE)
READ = """
import importlib, json, sys
names = json.load(sys.stdin)
print(json.dumps({m: {n: getattr(importlib.import_module(m), n, None) for n in names[m]} for m in names}))
"""


def declared(text: str, cimported: dict[str, int]) -> tuple[dict[str, int], set[str]]:
    """The constants of a .pxd, and the names of those that Python sees in the compiled module as well."""
    values: dict[str, int] = {}
    public: set[str] = set()
    for kind, body in ENUM.findall(text):
        for line in body.splitlines():
            name, equals, expression = (part.strip() for part in line.partition("#")[0].partition("="))
            if not name:
                continue
            assert equals, f"{name} has no value of its own"
            values[name] = eval(expression, {"__builtins__": {}}, {**cimported, **values})
            if kind == "cpdef":
                public.add(name)
    values.update({name: int(number, 0) for name, number in EXTERN.findall(text)})
    return values, public


REGISTERS, _ = declared((ROOT / "hidma" / "hw" / "registers.pxd").read_text(encoding="utf-8"), {})
DECLARED = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): declared(path.read_text(encoding="utf-8"), REGISTERS)
    for path in sorted((ROOT / "hidma").rglob("*.pxd"))
}


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, int | None]]:
    """The same names as the interpreted modules have them."""
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=json.dumps({module: list(values) for module, (values, _) in DECLARED.items() if values}),
        env={**os.environ, "HIDMA_INTERPRETED": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, int | None]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", [module for module, (values, _) in DECLARED.items() if values])
def test_c_and_python_have_the_same_values(module: str, interpreted: dict[str, dict[str, int | None]]) -> None:
    assert interpreted[module] == DECLARED[module][0]


@pytest.mark.parametrize("module", [module for module, (_, public) in DECLARED.items() if public])
def test_python_sees_the_public_ones(module: str) -> None:
    values, public = DECLARED[module]
    assert {name: getattr(importlib.import_module(module), name) for name in public} == {n: values[n] for n in public}


def test_a_declaration_is_read_as_it_is_written() -> None:
    text = (
        "cdef enum:\n    A = 1\n    B = A << 4  # why\n\n    C = -2\ncpdef enum:\n    D = 0x10\n\n"
        'cdef extern from *:\n    unsigned long long E "0xFFFFFFFFFFFFFFFFULL"\n    long long F "(-5LL)"\n'
        '    unsigned int G "0xFFFFFFFFU"\ncdef int H\n'
    )
    values = {"A": 1, "B": 16, "C": -2, "D": 16, "E": (1 << 64) - 1, "F": -5, "G": 0xFFFFFFFF}
    assert declared(text, {}) == (values, {"D"})
