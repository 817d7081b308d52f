# SPDX-License-Identifier: GPL-2.0-only
"""What a guest is made of: a kernel, its modules, a busybox, and EFI firmware for a guest with ACPI. Given by the user, or fetched
from Debian through apt into a cache, from the suite of this machine or from another.

apt works in a state of its own inside the cache (no root needed, the machine's packages stay as they are); of the packages only
what a guest can use is unpacked. Nothing of it belongs to this project or enters its repository.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hidma.commands.output import Scratch
from hidma.commands.qemu.errors import QemuError

KERNEL_PACKAGE = "linux-image-arm64"
BUSYBOX_PACKAGE = "busybox-static"
EFI_PACKAGE = "qemu-efi-aarch64"
IMAGE_PACKAGE = re.compile(r"linux-(image|binary|modules|base)-\d\S*")
"""What the meta package comes down to: one package up to Debian 13, several since then."""
KEPT = re.compile(
    r"\./(boot/vmlinuz-[^/]+|(usr/)?bin/busybox|usr/share/qemu-efi-aarch64/QEMU_EFI\.fd|"
    r"(usr/)?lib/modules/[^/]+/(vmlinuz|modules\.builtin|kernel/(crypto|lib|arch/arm64|block|net/9p|fs/(9p|netfs|fscache)|"
    r"drivers/(dma|md|block|vfio|iommu|nvme|virtio))/.*\.ko(\.xz|\.gz)?))"
)
PLACES = {
    "kernel": ("boot/vmlinuz-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz"),
    "modules": ("lib/modules/*", "usr/lib/modules/*"),
    "busybox": ("bin/busybox", "usr/bin/busybox"),
    "efi": ("usr/share/qemu-efi-aarch64/QEMU_EFI.fd",),
}
"""Where the packages have each part."""
SYSTEM_EFI = ("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "/usr/share/edk2/aarch64/QEMU_EFI.fd",
              "/usr/share/qemu/edk2-aarch64-code.fd")
SUITE = re.compile(r"[a-z][a-z0-9-]*")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEEDED_BYTES = 600 << 20
PROVIDE = ("give what the guest is made of: --kernel FILE (an arm64 Image), --modules DIR (its /lib/modules/VERSION) and "
           "--busybox FILE (static, arm64)")
ARM64_MAGIC = b"ARM\x64"
MODULE_SUFFIXES = (".ko", ".ko.xz", ".ko.gz")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Parts:
    """A kernel image (path), the directory of its modules (None: all is built in), a static arm64 busybox (path) and EFI
    firmware (None: there is none)."""

    kernel: Path
    modules: Path | None
    busybox: Path
    efi: Path | None = None


def cache_dir() -> Path:
    """Where fetched things are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "hidma" / "qemu"


def guest_dir(suite: str | None) -> Path:
    """Where the parts of a suite's guest are kept; None is the suite of this machine."""
    return cache_dir() / (f"guest-{suite}" if suite else "guest")


def cached(suite: str | None = None) -> Parts | None:
    """What was fetched before, None if nothing was, or by a version of this program that kept less."""
    guest = guest_dir(suite)
    try:
        manifest = json.loads((guest / "manifest.json").read_text(encoding="utf-8"))
        parts = Parts(**{part: guest / manifest[part] for part in PLACES})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    assert parts.modules is not None
    return parts if parts.kernel.is_file() and parts.busybox.is_file() and parts.modules.is_dir() else None


def find(kernel: str | None, modules: str | None, busybox: str | None, say: Say, suite: str | None = None,
         efi: str | None = None) -> Parts:
    """What is given; for the rest what was fetched, or is fetched now.

    :param say: told of what takes time
    :param suite: the Debian suite of what is fetched, None for that of this machine
    :raises QemuError: when something is missing or no good
    """
    if modules is not None and kernel is None:
        raise QemuError("--modules belongs to a kernel of the same build: name that with --kernel")
    parts = cached(suite)
    if parts is None and (kernel is None or busybox is None):
        if kernel is not None:
            kernel_version(Path(kernel))  # nothing is fetched for one that is no good
        parts = fetch(say, suite)
    there = [Path(place) for place in SYSTEM_EFI if os.path.exists(place)]
    firmware = Path(efi) if efi else parts.efi if parts else there[0] if there else None
    if efi:
        open_file(Path(efi), "--efi").close()
    image = Path(kernel) if kernel is not None else parts.kernel if parts else Path()
    lib = Path(modules) if modules is not None else parts.modules if parts and kernel is None else None
    box = Path(busybox) if busybox is not None else parts.busybox if parts else Path()
    if lib is not None and not lib.is_dir():
        raise QemuError(f"{lib}: no such directory; --modules takes the kernel's /lib/modules/VERSION")
    with open_file(box, "--busybox") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF" or head[18:20] != b"\xb7\0":
        raise QemuError(f"{box} is no arm64 program; --busybox takes a static busybox for arm64")
    return Parts(image, lib, box, firmware)


def open_file(path: Path, option: str) -> io.BufferedReader:
    """Open a file that the user named.

    :raises QemuError: when it cannot be read
    """
    try:
        if path.is_dir():
            raise QemuError(f"{path} is a directory; {option} takes a file")
        return open(path, "rb")
    except OSError as error:
        raise QemuError(f"{path}: {error.strerror}; {option} takes a file that can be read") from None


def kernel_version(path: Path) -> tuple[bytes, str]:
    """The image and what it calls itself, ``6.1.0-38-arm64`` (empty when it does not say).

    :raises QemuError: when it is no arm64 kernel
    """
    with open_file(path, "--kernel") as file:
        data = file.read()
    image = data
    if data[:2] == b"\x1f\x8b":
        try:
            image = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise QemuError(f"{path} is a damaged gzip file: {error}") from None
    if image[56:60] != ARM64_MAGIC:
        start = data[:4].hex(" ") or "nothing"
        raise QemuError(f"{path} is no arm64 kernel, it begins with {start}; --kernel takes arch/arm64/boot/Image, or a "
                        "vmlinuz of a distribution for arm64")
    found = re.search(rb"Linux version (\d[^ \0]*) ", image)
    return data, found[1].decode("ascii", "replace") if found else ""


# --- modules ----------------------------------------------------------------------------------------------------------


class Modules:
    """The modules of a kernel.

    :param root: its /lib/modules/VERSION, None when there are none
    """

    #: What a module asks for by an alias of its soft dependency.
    ALIASES = {"crc32c": "crc32c_generic"}

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self.files: dict[str, Path] = {}
        self.builtin: set[str] = set()
        if root is None:
            return
        for directory, _, names in os.walk(root):
            for name in names:
                for suffix in MODULE_SUFFIXES:
                    if name.endswith(suffix):
                        self.files.setdefault(module_name(name), Path(directory, name))
        with suppress(OSError):
            for line in (root / "modules.builtin").read_text(encoding="utf-8").splitlines():
                self.builtin.add(module_name(line.rpartition("/")[2]))

    def order(self, wanted: list[str], replaced: dict[str, Path]) -> Iterator[tuple[str, Path]]:
        """Names and files of ``wanted`` and of all that they depend on, in the order in which they are to be loaded.

        What is neither there nor built in is left out: a kernel of the user's may have it inside, and the guest reports what fails.
        :param replaced: files to take in place of those of the same name
        """
        done: set[str] = set()
        waiting: set[str] = set()

        def visit(name: str) -> Iterator[tuple[str, Path]]:
            path = replaced.get(name) or self.files.get(name)
            if name in done or name in waiting or path is None:
                return
            waiting.add(name)
            for other in dependencies(read_module(path)):
                yield from visit(module_name(self.ALIASES.get(other, other)))
            done.add(name)
            yield name, path

        for name in wanted:
            yield from visit(module_name(name))


def module_name(file: str) -> str:
    """``hdma_mgmt`` of ``hdma-mgmt.ko.xz``."""
    return file.partition(".ko")[0].replace("-", "_")


def read_module(path: Path, option: str = "--modules") -> bytes:
    """The bytes of a module, unpacked.

    :raises QemuError: when it cannot be read, or is no arm64 module
    """
    with open_file(path, option) as file:
        data = file.read()
    try:
        if path.name.endswith(".xz"):
            data = lzma.decompress(data)
        elif path.name.endswith(".gz"):
            data = gzip.decompress(data)
    except (lzma.LZMAError, OSError, EOFError) as error:
        raise QemuError(f"{path} cannot be unpacked: {error}") from None
    if data[:4] != b"\x7fELF" or data[18:20] != b"\xb7\0":
        raise QemuError(f"{path} is no kernel module for arm64; {option} takes modules built with ARCH=arm64")
    return data


def module_info(data: bytes, key: str) -> list[str]:
    """The values of ``key`` in a module's .modinfo."""
    return [value.decode("ascii", "replace") for value in re.findall(rb"\0" + key.encode() + rb"=([^\0]*)", data)]


def dependencies(data: bytes) -> list[str]:
    """The modules that one asks for, soft ones first."""
    names: list[str] = []
    for soft in module_info(data, "softdep"):
        words = re.sub(r"\bpost:.*", "", soft.replace("pre:", "")).split()
        names += words
    for value in module_info(data, "depends"):
        names += [name for name in value.split(",") if name]
    return names


# --- fetching ---------------------------------------------------------------------------------------------------------


def run_apt(command: list[str], directory: Path, what: str) -> str:
    """Run apt or one of its tools; what it prints.

    :param what: what fails when it fails
    :raises QemuError: it cannot be run, or refuses
    """
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    except subprocess.TimeoutExpired:
        raise QemuError(f"{what}: {command[0]} does not end; {PROVIDE}") from None
    except OSError as error:
        raise QemuError(f"{what}: {command[0]}: {error.strerror}; {PROVIDE}") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("E:")] or ["E: no reason given"]
        raise QemuError(f"{what}: apt says: {lines[0].removeprefix('E:').strip()}; {PROVIDE}")
    return done.stdout


def fetch(say: Say, suite: str | None = None) -> Parts:
    """Bring kernel, modules, busybox and EFI firmware from Debian into the cache.

    :param suite: from this suite, None for what apt's own sources have
    :raises QemuError: no apt, no network, no space, no such suite, not in its sources
    """
    if suite is not None and not SUITE.fullmatch(suite):
        raise QemuError(f"'{suite}' is no name of a Debian suite; --suite takes bookworm, trixie, sid and the like")
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise QemuError(f"{tool} is not there, so nothing can be fetched on this system; {PROVIDE}")
    cache = cache_dir()
    try:
        cache.parent.mkdir(0o700, parents=True, exist_ok=True)
        cache.mkdir(0o700, exist_ok=True)
        free = shutil.disk_usage(cache).free
    except OSError as error:
        raise QemuError(f"{cache} cannot be made: {error.strerror}; XDG_CACHE_HOME says where caches are kept") from None
    if free < NEEDED_BYTES:
        raise QemuError(f"{cache}: {free >> 20} MiB are free and {NEEDED_BYTES >> 20} MiB are needed; XDG_CACHE_HOME says where "
                        "caches are kept")
    try:
        with Scratch(prefix="fetch-", dir=cache) as work:
            return _fetch(Path(work), suite, say)
    except OSError as error:
        raise QemuError(f"{cache} cannot be written: {error.strerror}") from None


def _sources(suite: str, directory: Path) -> str:
    """The lines of sources.list for a suite, on the mirror that this machine's own sources name."""
    lines = run_apt(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages", "Label: Debian"],
                 directory, "apt's own sources").split("\n")
    mirrors = [line.removeprefix("Debian ") for line in lines if line.startswith("Debian ")]
    if not mirrors:
        raise QemuError(f"apt's sources on this machine name no mirror of Debian to fetch {suite} from; {PROVIDE}")
    signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    suites = dict.fromkeys((suite.removesuffix("-backports"), suite))
    return "".join(f"deb {signed}{mirrors[0]} {each} main\n" for each in suites)


def apt_options(work: Path, suite: str | None, host: str = "") -> list[str]:
    """Options that give apt a state of its own in ``work``, for arm64 and, when it is given, for the architecture ``host``."""
    for name in ("lists/partial", "archives/partial", "state", "debs"):
        (work / name).mkdir(parents=True)
    (work / "state" / "status").touch()
    settings = {
        "APT::Architecture": "arm64", "APT::Architectures": f"arm64,{host}".rstrip(","), "Dir::State": work / "state",
        "Dir::State::Lists": work / "lists", "Dir::State::status": work / "state" / "status", "Dir::Cache": work,
        "Dir::Cache::Archives": work / "archives", "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
        # whatever this machine's own configuration allows
        "APT::Get::AllowUnauthenticated": "false", "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false", "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Languages": "none", "Acquire::Retries": "3", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
    }
    if suite is not None:
        (work / "sources.list").write_text(_sources(suite, work), encoding="utf-8")
        settings |= {"Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
                     "APT::Default-Release": suite}
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _fetch(work: Path, suite: str | None, say: Say) -> Parts:
    options = apt_options(work, suite)
    debs = work / "debs"
    say(f"fetching the package lists for arm64{' of ' + suite if suite else ''}")
    try:
        run_apt(["apt-get", *options, "-qq", "update"], debs, f"the package lists{' of ' + suite if suite else ''}")
    except QemuError:
        if suite is not None:
            raise
        # one source of several that does not answer is no reason to give up; what is missing shows below
    depends = run_apt(["apt-cache", *options, "depends", "--recurse", "--important", KERNEL_PACKAGE], debs,
                   f"no {KERNEL_PACKAGE} in apt's sources")
    images = list(dict.fromkeys(line for line in depends.split("\n") if IMAGE_PACKAGE.fullmatch(line)))
    if not images:
        raise QemuError(f"no {KERNEL_PACKAGE} in apt's sources; {PROVIDE}")
    unsigned = [line.partition(" ")[2] for line in run_apt(
        ["apt-get", *options, "indextargets", "--format", "$(TRUSTED) $(REPO_URI)", "Created-By: Packages"], debs,
        "the package lists").splitlines() if line.startswith("no ")]
    if unsigned:
        raise QemuError(f"the package list of {unsigned[0]} is not signed with a key that apt trusts; {PROVIDE}")
    packages = [BUSYBOX_PACKAGE, EFI_PACKAGE, *images]
    listed = f"{', '.join(packages[:-1])} and {packages[-1]}"
    say(f"fetching {listed}")
    run_apt(["apt-get", *options, "-qq", "download", *packages], debs, f"{listed} cannot be fetched")
    guest = work / "guest"
    guest.mkdir()
    say("apt has checked the packages: their hashes stand in lists that are signed with a key that it trusts; unpacking")
    for deb in sorted(debs.glob("*.deb")):
        _unpack(deb, guest)
    manifest: dict[str, str | list[str]] = {"packages": sorted(deb.name for deb in debs.glob("*.deb"))}
    for part, places in PLACES.items():
        found = sorted(path for place in places for path in guest.glob(place))
        if not found:
            raise QemuError(f"the packages {listed} do not hold what is expected, a file {places[0]}; {PROVIDE}")
        manifest[part] = str(found[-1].relative_to(guest))
    (guest / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    target = guest_dir(suite)
    if target.exists():
        target.rename(work / "old")
    guest.rename(target)
    parts = cached(suite)
    assert parts is not None
    return parts


def _unpack(deb: Path, target: Path) -> None:
    """What a guest can use of a package."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        with tarfile.open(fileobj=pipe.stdout, mode="r|") as tar:
            for member in tar:
                if member.isfile() and KEPT.fullmatch(member.name) and ".." not in Path(member.name).parts:
                    file = tar.extractfile(member)
                    assert file is not None
                    path = target / member.name.removeprefix("./")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with open(path, "wb") as out:
                        shutil.copyfileobj(file, out)
                    path.chmod(0o755 if member.mode & 0o100 else 0o644)
        pipe.stdout.read()
    if pipe.returncode:
        raise QemuError(f"{deb.name} is damaged; fetch again")
