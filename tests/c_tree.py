# SPDX-License-Identifier: GPL-2.0-only
"""Makes C files in the shape of the series from its inventory: every function at its lines, with an empty body, and every
constant, enum, struct, parameter and id. The facts are the series', the text is not."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hidma.commands.portmap import names, series

INVENTORY: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "hidma" / "commands" / "portmap" / "inventory.json").read_text())

GETSET = r"""#define IMPLEMENT_GETSET(name) \
static int get_##name(struct hidma_mgmt_dev *mdev) \
{ \
	return mdev->name; \
} \
static int set_##name(struct hidma_mgmt_dev *mdev, u64 val) \
{ \
	mdev->name = val; \
	return 0; \
}"""


def field(name: str, kind: str) -> str:
    """The declaration of a struct's field."""
    if kind.startswith("kfifo of "):
        return f"\tDECLARE_KFIFO_PTR({name}, {kind.removeprefix('kfifo of ')});"
    if "(*)" in kind:
        return f"\t{kind.replace('(*)', f'(*{name})')};"
    base, bracket, size = kind.partition("[")
    return f"\t{base.rstrip()} {name}{bracket}{size};"


def head(facts: dict[str, Any]) -> list[str]:
    """What stands before the functions."""
    lines = ["/* made by a test */"]
    lines += [f"#define {name}" for name in facts.get("guards", ())]
    for name, value in facts.get("defines", {}).items():
        lines.append(f"#define {name} " + (f'"{value}"' if isinstance(value, str) else f"{value:#x}"))
    for macro in facts.get("function_like_macros", ()):
        lines += GETSET.splitlines() if macro.startswith("IMPLEMENT_GETSET") else [f"#define {macro} do {{ }} while (0)"]
    for enum, members in facts.get("enums", {}).items():
        lines += [f"enum {enum} {{", *(f"\t{name} = {value}," for name, value in members.items()), "};"]
    for struct in facts.get("structs", ()):
        lines += [f"struct {struct['name']} {{", *(field(*each) for each in struct["fields"]), "};"]
    for p in facts.get("module_params", ()):
        lines += [f"static unsigned int {p['name']};", f"module_param({p['name']}, {p['type']}, {p['mode']:#o});"]
    for made in facts.get("macro_generated_functions", ())[::2]:
        lines.append(f"IMPLEMENT_GETSET({made['name'].removeprefix('get_')})")
    return lines


def tail(facts: dict[str, Any]) -> list[str]:
    """What stands after the functions."""
    lines = []
    for name in facts.get("properties", ()):
        lines.append(f'\t/* read in a function */ int x_{len(lines)} = device_property_read_u32(dev, "{name}", &value);')
    lines += [f"EXPORT_SYMBOL_GPL({name});" for name in facts.get("exported", ())]
    for kind, key, entry in (("acpi", "acpi_ids", '\t{{"{}"}},'), ("of", "dt_ids", '\t{{ .compatible = "{}" }},')):
        if facts.get(key):
            lines += [f"static const struct {kind}_device_id ids_{kind}[] = {{", *(entry.format(i) for i in facts[key]), "};"]
    if "driver_name" in facts:
        lines += ["static struct platform_driver the_driver = {", f'\t.driver = {{ .name = "{facts["driver_name"]}" }},', "};"]
    return lines


def c_file(facts: dict[str, Any]) -> str:
    """A C file with the facts."""
    lines: list[str] = head(facts)
    functions = sorted((f for f in facts.get("functions", ())), key=lambda f: f["first_line"])
    if functions and len(lines) >= functions[0]["first_line"]:
        # the head of V14 is denser than this one: what is below moves down
        down = len(lines) + 2 - functions[0]["first_line"]
        functions = [{**f, "first_line": f["first_line"] + down, "last_line": f["last_line"] + down} for f in functions]
    for f in functions:
        lines += [""] * (f["first_line"] - 1 - len(lines))
        params = []
        for number, kind in enumerate(f["params"]):
            params.append(kind.replace("(*)", f"(*p{number})") if "(*)" in kind else f"{kind} p{number}")
        star = "" if f["returns"].endswith("*") else " "
        static = "static " if f["static"] else ""
        lines.append(f"{static}{f['returns']}{star}{f['name']}({', '.join(params) or 'void'})")
        if f["last_line"] == f["first_line"]:
            lines[-1] += " { }"
        else:
            lines += ["{", *[""] * (f["last_line"] - f["first_line"] - 2), "}"]
    lines += tail(facts)
    lines += [""] * (facts["lines"] - len(lines))
    return "\n".join(lines) + "\n"


def write(top: Path, change: Callable[[str, str], str | None] = lambda path, text: text) -> Path:
    """A kernel tree with the series in it.

    :param change: gets each file's path and text; what it returns is written, None leaves the file out
    """
    (top / "drivers").mkdir(parents=True)
    (top / "Makefile").write_text("VERSION = 4\nPATCHLEVEL = 5\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n")
    for path, facts in INVENTORY["files"].items():
        text = change(path, c_file(facts))
        if text is not None:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(text.encode("latin-1"))
    return top


@functools.cache
def bodies() -> dict[str, Any]:
    """Hashes of the bodies that :func:`c_file` writes, in the form of the hashes of V14."""
    from hidma.commands.portmap.csource import read_file

    found: dict[str, Any] = {}
    for path, facts in INVENTORY["files"].items():
        read = read_file(path, c_file(facts).encode())
        functions: dict[str, list[str]] = {}
        for function in read.functions:
            functions.setdefault(function.name, []).append(function.body)
        found[path] = {"functions": functions, "initialisers": read.initialisers}
    return found


@contextmanager
def as_v14() -> Iterator[None]:
    """Compare with the bodies that :func:`c_file` writes: a tree of :func:`write` is V14 then."""
    shipped = series.bodies
    series.bodies = bodies  # type: ignore[assignment]
    forget()
    try:
        yield
    finally:
        series.bodies = shipped
        forget()


def forget() -> None:
    """Read the facts of V14 anew."""
    series.v14.cache_clear()
    names.names.cache_clear()


#: Number of the patch that brings each file.
PATCH_OF = {
    "hidma_mgmt.c": 3, "hidma_mgmt.h": 3, "hidma_mgmt_sys.c": 3, "hidma.c": 4, "hidma.h": 4, "hidma_ll.c": 5,
    "hidma_dbg.c": 6, "vfio_platform_qcomhidma.c": 9,
}


def mail(number: int, subject: str, diff: str, version: str = "V14 ", of: int = 9) -> str:
    """A patch as a mail of an mbox."""
    return (f"From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: Somebody <somebody@example.org>\n"
            f"Subject: [PATCH {version}{number}/{of}] {subject}\nDate: Mon, 1 Feb 2016 00:00:00 +0000\n\n"
            f"What it does.\n---\n{diff}-- \n2.7.0\n\n")


def new_file(path: str, text: str) -> str:
    """The diff that makes a file."""
    lines = text.splitlines()
    return (f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
            f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines))


def mbox(change: Callable[[str, str], str | None] = lambda path, text: text) -> str:
    """The series as an mbox; files that a patch only changes are left out."""
    mails: dict[int, str] = {}
    for path, facts in INVENTORY["files"].items():
        number = PATCH_OF.get(path.rpartition("/")[2])
        text = change(path, c_file(facts))
        if number is not None and text is not None:
            mails[number] = mails.get(number, "") + new_file(path, text)
    return "".join(mail(number, f"dma: patch {number}", diff) for number, diff in sorted(mails.items()))
