# SPDX-License-Identifier: GPL-2.0-only
"""The tree against its documentation, in both directions; and the files in the kernel's format."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hidma
from hidma import firmware
from hidma.commands.abi.entries import matches, read_file, render, whats
from hidma.commands.abi.texts import ENTRIES, AbiDoc
from hidma.linux.base import mount_root
from hidma.linux.fs import LINKS_MAX, Dir, File, Link, Vfs

#: The boards whose trees are looked at together: all that are bundled, with device tree or with ACPI.
BOARDS = firmware.BOARDS
#: The files in the kernel's format: name, and the drivers whose entries are in it.
OUTPUT = (
    ("sysfs-platform-hidma-mgmt", "hidma-mgmt", "/sys/"),
    ("sysfs-platform-hidma", "hidma", "/sys/devices/"),
    ("sysfs-module-hidma", "hidma", "/sys/module/"),
    ("debugfs-hidma", "hidma", "/sys/kernel/debug/"),
    ("sysfs-core-hidma", "core", "/sys/"),
    ("procfs-hidma", "core", "/proc/"),
    ("dev-kmsg", "core", "/dev/"),
)
#: Lines of a text, rows of bytes, that an example shows at most.
LINES, ROWS = 12, 4
#: What /proc/version says in a mounted tree.
OURS = "(hidma)"


@dataclass(frozen=True)
class TreeFile:
    """One file of the tree of a board."""

    board: str
    path: str
    mode: int
    doc: AbiDoc | None
    text: str


def walk(vfs: Vfs, node: Dir, path: str = "") -> Iterator[tuple[str, File]]:
    """Every file below a directory; links are not followed."""
    for name, child in node.entries().items():
        below = f"{path}/{name}"
        if isinstance(child, Dir):
            yield from walk(vfs, child, below)
        elif isinstance(child, File):
            yield below, child


@cache
def files() -> tuple[TreeFile, ...]:
    """Every file of every board, with what reading it gives right after boot."""
    found = []
    for board in BOARDS:
        with hidma.boot(board) as machine, machine.running() as kernel:
            vfs = mount_root(kernel)
            for path, file in walk(vfs, vfs.root):
                text = vfs.read(path)
                found.append(
                    TreeFile(
                        board,
                        path,
                        file.mode & 0o777,
                        entry_of(path),
                        text.decode("latin-1") if isinstance(text, bytes) else "",
                    )
                )
    return tuple(found)


@cache
def declared() -> tuple[AbiDoc, ...]:
    """Every entry, sorted by path."""
    return tuple(sorted(ENTRIES, key=lambda d: d.what))


def entry_of(path: str) -> AbiDoc | None:
    """The entry of the file at ``path``; of several that match, the one with the fewest wildcards."""
    found = [(what.count("*"), entry) for entry in ENTRIES for what in entry.what if matches(what, path)]
    return min(found, key=lambda one: one[0])[1] if found else None


def needs_acpi(path: str) -> bool:
    """Whether only a board with ACPI has this path."""
    return any(part in path for part in ("QCOM80", "LNXSYSTM", "/bus/acpi", "/firmware/acpi"))


def needs_tree(path: str) -> bool:
    """Whether only a board with a device tree has this path."""
    return "/firmware/devicetree" in path or ".hidma" in path


def undefined(root: Path | None = None) -> list[str]:
    """Files without an entry and entries without a file, one sentence each.

    :param root: a mounted tree, or a /sys: looked at in place of the boards' own trees. Of a /sys that is not ours only
        what belongs to HIDMA devices and drivers is looked at, and only the drivers' own entries have to have a file.
    """
    docs = declared()
    if root is None:
        there = [(f.path, f.mode, f.board) for f in files()]
    else:
        there = [(path, mode, str(root)) for path, mode in real_files(root)]
        if not there:
            return [f"{root} has no HIDMA device and no HIDMA driver"]
        # a guest has no management device: of a driver that is not there nothing is missing
        present = {doc.driver for doc in docs for path, _, _ in there if any(matches(what, path) for what in doc.what)}
        docs = tuple(doc for doc in docs if doc.driver in (present if is_ours(root) else present - {"core"}))
    acpi = any(needs_acpi(path) for path, _, _ in there)
    tree = any(needs_tree(path) for path, _, _ in there)
    out = []
    for path, mode, where in there:
        own = [doc for doc in declared() if any(matches(what, path) for what in doc.what)]
        if not own:
            out.append(f"{path} ({where}) has no entry")
        elif all(doc.mode != mode for doc in own):
            out.append(f"{path} ({where}) has mode 0{mode:o}, its entry says 0{own[0].mode:o}")
    paths = {path for path, _, _ in there}
    for doc in docs:
        for what in doc.what:
            if (needs_acpi(what) and not acpi) or (needs_tree(what) and not tree):
                continue
            if (
                root is not None
                and not any(matches(what, path) for path in paths)
                and any(matches(w, path) for w in doc.what for path in paths)
            ):
                continue  # one board only: another path of the same entry is there
            if not any(matches(what, path) for path in paths):
                out.append(f"the entry {what} has no file")
    return out


def top_of(root: Path) -> Path:
    """The directory that stands for /sys."""
    return root / "sys" if (root / "sys").is_dir() else root.absolute()


def is_ours(root: Path) -> bool:
    """Whether a directory that stands for / or /sys is one that ``hidma mount`` made."""
    version = top_of(root).parent / "proc" / "version"
    return version.is_file() and OURS in version.read_text(encoding="utf-8", errors="replace")


def real_files(root: Path) -> Iterator[tuple[str, int]]:
    """Path in the tree, and mode, of the files below a directory that stands for / or /sys."""
    top = top_of(root)
    ours = is_ours(root)
    for base, prefix in ((top, "/sys"), *(((top.parent / name, f"/{name}") for name in ("proc", "dev")) if ours else ())):
        for here, dirs, names in os.walk(base):
            dirs.sort()
            for name in sorted(names):
                file = Path(here) / name
                if file.is_symlink():
                    continue
                path = prefix + "/" + str(file.relative_to(base))
                if ours or any(name in path for name in ("hidma", "/hdma", "QCOM806")):
                    yield path, file.stat().st_mode & 0o777


def generate(out: Path) -> list[Path]:
    """Write the files in the kernel's format below ``out``; returns them."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, driver, prefix in OUTPUT:
        docs = [
            d
            for d in declared()
            if d.driver == driver
            and d.what[0].startswith(prefix)
            and not (prefix == "/sys/" and driver == "core" and d.what[0].startswith("/proc/"))
        ]
        if not docs:
            continue
        path = out / name
        path.write_text("\n".join(render(doc) for doc in docs), encoding="utf-8")
        written.append(path)
    return written


def stale(out: Path) -> list[str]:
    """What differs between the files below ``out`` and what the attributes say: one sentence each."""
    import tempfile

    with tempfile.TemporaryDirectory() as fresh:
        wanted = {p.name: p.read_text() for p in generate(Path(fresh))}
    have = {p.name: p.read_text() for p in sorted(out.iterdir()) if p.is_file()} if out.is_dir() else {}
    lines = [f"{out / name} is missing" for name in wanted if name not in have]
    lines += [f"{out / name} is of no attribute" for name in have if name not in wanted]
    lines += [
        f"{out / name} does not say what the attributes say"
        for name in wanted
        if name in have and have[name] != wanted[name]
    ]
    return lines


def examples(doc: AbiDoc) -> list[tuple[str, list[str]]]:
    """(command, lines) that show the first file with this entry, of a HIDMA device if there is one, right after boot: its
    text, or the first bytes of what is none."""
    found = [(file.path, file.text) for file in files() if file.doc is doc and file.text]
    chosen = [one for one in found if "hidma" in one[0]][:1] or found[:1]
    return [shown(path, text) for path, text in chosen]


def shown(path: str, text: str) -> tuple[str, list[str]]:
    """How a person looks at a file, and what is seen then."""
    if all(char.isprintable() or char in "\n\t" for char in text) and text.isascii():
        return f"cat {path}", text.splitlines()[:LINES]
    lines = []
    for at in range(0, min(len(text), 16 * ROWS), 16):
        part = text[at : at + 16].encode("latin-1")
        halves = "  ".join(part[i : i + 8].hex(" ") for i in (0, 8) if part[i:])
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:08x}  {halves:<48}  |{seen}|")
    return f"hexdump -C {path} | head -n {ROWS}", lines


@cache
def links() -> dict[str, str]:
    """Path of every symbolic link of every board, and the path that it points to."""
    found = {}

    def walk_links(node: Dir, path: str) -> None:
        for name, child in node.entries().items():
            if isinstance(child, Dir):
                walk_links(child, f"{path}/{name}")
            elif isinstance(child, Link):
                found[f"{path}/{name}"] = posixpath.normpath(posixpath.join(path, child.target))

    for board in BOARDS:
        with hidma.boot(board) as machine, machine.running() as kernel:
            walk_links(mount_root(kernel).root, "")
    return found


def resolve(path: str) -> str:
    """``path`` without symbolic links, as the boards have them."""
    done = ""
    todo = [part for part in path.split("/") if part]
    for _ in range(LINKS_MAX * len(todo)):
        if not todo:
            break
        done = f"{done}/{todo.pop(0)}"
        if done in links():
            todo = links()[done].split("/")[1:] + todo
            done = ""
    return "/".join([done, *todo])


def find(path_or_word: str) -> list[AbiDoc]:
    """The entries that mean a path, or whose paths contain a word."""
    if path_or_word.startswith("/") and not any(matches(w, path_or_word) for d in declared() for w in whats(d)):
        path_or_word = resolve(path_or_word)
    exact = [d for d in declared() if path_or_word in whats(d) or any(matches(w, path_or_word) for w in whats(d))]
    return exact or [d for d in declared() if any(path_or_word in w for w in whats(d))]


def entries_in(paths: list[Path]) -> int:
    """How many entries some files hold."""
    return sum(len(read_file(p)[0]) for p in paths)
