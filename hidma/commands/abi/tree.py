# SPDX-License-Identifier: GPL-2.0-only
"""The tree against its documentation, in both directions; and the files in the kernel's format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hidma
from hidma import firmware
from hidma.commands.abi.entries import matches, render, whats
from hidma.commands.abi.texts import AbiDoc, from_directory, load
from hidma.commands.output import Scratch
from hidma.linux import dmatest, vfio
from hidma.linux.base import mount_root
from hidma.linux.fs import Dir, File, Vfs
from hidma.linux.iommu import group_of
from hidma.linux.platform_device import platform_bus
from hidma.machine.boot import MODULES, Machine, load_with_depends

#: The boards whose trees are looked at together: all that are bundled, with device tree or with ACPI.
BOARDS = firmware.BOARDS
#: The files in the kernel's format: name, the driver whose entries are in it, and how their paths begin.
OUTPUT = (
    ("sysfs-platform-hidma-mgmt", "hidma-mgmt", "/sys/"),
    ("sysfs-platform-hidma", "hidma", "/sys/devices/"),
    ("sysfs-module-hidma", "hidma", "/sys/module/"),
    ("debugfs-hidma", "hidma", "/sys/kernel/debug/"),
    ("sysfs-module-dmatest", "dmatest", "/sys/"),
    ("sysfs-module-vfio", "vfio", "/sys/"),
    ("vfio", "vfio", "/dev/"),
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
    state: str
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


def load_everything(machine: Machine) -> None:
    """Load every module that there is, dmatest too."""
    loaded = {module.name for module in machine.modules()}
    with machine.calling():
        for module in (*MODULES.values(), dmatest.module):
            if module.name not in loaded:
                load_with_depends(machine.kernel, module)


def give_to_vfio(machine: Machine) -> None:
    """Give the first channel that is behind an IOMMU to VFIO: its reset plugin is loaded then."""
    from hidma.vm.vfio import assign

    with machine.running():
        grouped = {dev.name for dev in platform_bus(machine.kernel).devices if group_of(dev)}
    for device, driver in list(machine.devices()):
        if driver == "hidma" and device in grouped:
            assign(machine, device)
            return


#: What happens to a machine one after the other, and how its state is called then.
MACHINE_STATES: tuple[tuple[str, Callable[[Machine], None]], ...] = (
    ("after boot", lambda machine: None),
    ("with every module", load_everything),
    ("with a device that VFIO has", give_to_vfio),
)


@cache
def files() -> tuple[TreeFile, ...]:
    """Every file that a board has in one of its states, once, with what reading it gives in the first of them."""
    found = []
    for board in BOARDS:
        seen: set[str] = set()
        with hidma.boot(board) as machine:
            for state, change in MACHINE_STATES:
                change(machine)
                with machine.running() as kernel:
                    vfs = mount_root(kernel)
                    for path, file in walk(vfs, vfs.root):
                        if path not in seen:
                            text = vfs.read(path)
                            shown = text.decode("latin-1") if isinstance(text, bytes) else ""
                            found.append(TreeFile(board, state, path, file.mode & 0o777, entry_of(path), shown))
                            seen.add(path)
    return tuple(found)


def declared(directory: Path | None = None) -> tuple[AbiDoc, ...]:
    """Every entry, sorted by path: of this tree, or of the files below a directory."""
    return load() if directory is None else from_directory(directory)


def entry_of(path: str) -> AbiDoc | None:
    """The entry of the file at ``path``; of several that match, the one with the fewest wildcards."""
    found = [(what.count("*"), entry) for entry in declared() for what in entry.what if matches(what, path)]
    return min(found, key=lambda one: one[0])[1] if found else None


def needs_acpi(path: str) -> bool:
    """Whether only a board with ACPI has this path."""
    return any(part in path for part in ("QCOM80", "LNXSYSTM", "/bus/acpi", "/firmware/acpi"))


def needs_tree(path: str) -> bool:
    """Whether only a board with a device tree has this path."""
    return "/firmware/devicetree" in path or ".hidma" in path


def undefined(root: Path | None = None, docs: tuple[AbiDoc, ...] | None = None) -> list[str]:
    """Files without an entry, entries without a file, and modes that are others, one sentence each.

    :param root: a mounted tree, or a /sys: looked at in place of the boards' own trees. Of a /sys that is not ours only
        what belongs to HIDMA devices and drivers is looked at, and only the drivers' own entries have to have a file.
    :param docs: the entries of a third party, to which all files below ``root`` belong
    """
    every = declared() if docs is None else docs
    wanted = tuple(doc for doc in every if doc.ioctl is None)
    if root is None:
        there = [(f.path, f.mode, f.board) for f in files()]
    else:
        there = [(path, mode, str(root)) for path, mode in real_files(root, docs is not None)]
        if docs is None:
            if not there:
                return [f"{root} has no HIDMA device and no HIDMA driver"]
            # a guest has no management device: of a driver that is not there nothing is missing
            present = {doc.driver for doc in wanted if any(matches(what, path) for what in doc.what for path, _, _ in there)}
            wanted = tuple(doc for doc in wanted if doc.driver in (present if is_ours(root) else present - {"core"}))
    acpi = docs is not None or any(needs_acpi(path) for path, _, _ in there)
    tree = docs is not None or any(needs_tree(path) for path, _, _ in there)
    out = []
    for path, mode, where in there:
        own = [doc for doc in every if any(matches(what, path) for what in doc.what)]
        if not own:
            out.append(f"{path} ({where}) has no entry")
        elif all(doc.mode not in (mode, -1) for doc in own):
            out.append(f"{path} ({where}) has mode 0{mode:o}, its entry says 0{own[0].mode:o}")
    paths = {path for path, _, _ in there}
    for doc in wanted:
        known = [what for what in doc.what if not (needs_acpi(what) and not acpi or needs_tree(what) and not tree)
                 and (what.startswith("/sys/") or root is None or has_sys(root))]
        missing = [what for what in known if not any(matches(what, path) for path in paths)]
        if root is None or missing == known:  # on one board another path of the same entry may be there
            out += [f"the entry {what} has no file" for what in missing]
    return out + (undefined_ioctls(every) if root is None else [])


def undefined_ioctls(docs: tuple[AbiDoc, ...]) -> list[str]:
    """Requests of VFIO without an entry, and entries without a request or with another number."""
    requests = {name: value for name, value in vars(vfio).items()
                if name.startswith("VFIO_") and isinstance(value, int) and value >> 8 == vfio.VFIO_TYPE}
    entries = {doc.ioctl.name: doc.ioctl.number for doc in docs if doc.ioctl is not None}
    out = [f"the ioctl {name} has no entry" for name in requests if name not in entries]
    out += [f"the entry {name} has no ioctl" for name in entries if name not in requests]
    return out + [f"the ioctl {name} is 0x{requests[name]:x}, its entry says 0x{number:x}"
                  for name, number in entries.items() if requests.get(name, number) != number]


def top_of(root: Path) -> Path:
    """The directory that stands for /sys."""
    return root / "sys" if has_sys(root) else root.absolute()


def has_sys(root: Path) -> bool:
    """Whether a directory stands for / rather than for /sys."""
    return (root / "sys").is_dir()


def is_ours(root: Path) -> bool:
    """Whether a directory that stands for / or /sys is one that ``hidma mount`` made."""
    version = top_of(root).parent / "proc" / "version"
    return version.is_file() and OURS in version.read_text(encoding="utf-8", errors="replace")


def real_files(root: Path, every: bool = False) -> Iterator[tuple[str, int]]:
    """Path in the tree, and mode, of the files below a directory that stands for / or /sys.

    :param every: all of them; otherwise, of a tree that is not ours, those of HIDMA devices and drivers
    """
    top = top_of(root)
    every = every or is_ours(root)
    beside = [name for name in ("proc", "dev") if every and has_sys(root)]
    for base, prefix in ((top, "/sys"), *((top.parent / name, f"/{name}") for name in beside)):
        for here, dirs, names in os.walk(base):
            dirs.sort()
            for file in (Path(here) / name for name in sorted(names)):
                path = f"{prefix}/{file.relative_to(base)}"
                if not file.is_symlink() and (every or any(name in path for name in ("hidma", "/hdma", "QCOM806"))):
                    yield path, file.stat().st_mode & 0o777


def generate(out: Path) -> list[Path]:
    """Write the files in the kernel's format below ``out``; returns them."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, driver, prefix in OUTPUT:
        docs = [doc for doc in declared() if doc.driver == driver and doc.what[0].startswith(prefix)]
        path = out / name
        path.write_text("\n".join(render(doc) for doc in docs), encoding="utf-8")
        written.append(path)
    return written


def stale(out: Path) -> list[str]:
    """What differs between the files below ``out`` and the entries: one sentence each."""
    with Scratch() as fresh:
        wanted = {p.name: p.read_text() for p in generate(Path(fresh))}
    have = {p.name: p.read_text() for p in sorted(out.iterdir()) if p.is_file()} if out.is_dir() else {}
    lines = [f"{out / name} is missing" for name in wanted if name not in have]
    lines += [f"{out / name} is of no entry" for name in have if name not in wanted]
    return lines + [f"{out / name} does not say what the entries say" for name in wanted
                    if have.get(name, wanted[name]) != wanted[name]]


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
def resolve(path: str) -> str:
    """``path`` without symbolic links, if a board has it."""
    for board in BOARDS:
        with hidma.boot(board) as machine, machine.running() as kernel:
            rc, real, _ = mount_root(kernel).lookup(path)
        if rc == 0:
            return real
    return path


def find(path_or_word: str, docs: tuple[AbiDoc, ...] | None = None) -> list[AbiDoc]:
    """The entries that mean a path, or whose paths contain a word.

    :param docs: the entries of a third party, in place of ours
    """
    every = declared() if docs is None else docs
    if docs is None and path_or_word.startswith("/") and not any(matches(w, path_or_word) for d in every for w in whats(d)):
        path_or_word = resolve(path_or_word)
    exact = [d for d in every if path_or_word in whats(d) or any(matches(w, path_or_word) for w in whats(d))]
    return exact or [d for d in every if any(path_or_word in w for w in whats(d))]
