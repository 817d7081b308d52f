# SPDX-License-Identifier: GPL-2.0-only
"""Files and sockets: what is private has a private mode and a name that nobody can foretell, nothing is written outside of the
place that was named, and what is fetched has been checked."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

import hidma
from hidma.commands.main import main
from hidma.commands.mount.server import Server
from hidma.commands.output import Scratch, output_directory, write_file
from hidma.commands.portmap import patches
from hidma.commands.portmap.tree import TreeError, from_patch
from hidma.commands.qemu import packages
from hidma.commands.qemu.errors import QemuError
from hidma.commands.shell.programs import client_directory
from hidma.vm import GuestProcess


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(autouse=True)
def open_umask() -> object:
    """The user's umask takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_control_socket_and_its_directory_are_the_owners(tmp_path: Path) -> None:
    """Also where the path is longer than that of a socket may be."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    with Scratch(prefix="hidma-", dir=long) as place, hidma.boot() as machine:
        server = Server(machine)
        try:
            server.listen(Path(place, "control"), lambda words: pytest.fail("nothing was asked for"))
            assert stat.S_ISSOCK(Path(place, "control").lstat().st_mode)
            assert (mode(Path(place)), mode(Path(place, "control"))) == (0o700, 0o600)
            assert {mode(path) for path in client_directory(Path(place)).iterdir()} == {0o700}
        finally:
            server.close()


def test_memory_that_processes_share_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in /dev/shm nor in the directory of temporary files: both are as they were while a guest runs."""
    def names() -> set[str]:
        return {f"{place}/{name}" for place in ("/dev/shm", str(tmp_path)) for name in os.listdir(place) if "hidma" in name}

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = names()
    with hidma.boot() as machine, GuestProcess(machine):
        assert names() <= before


def test_file_is_written_in_one_step_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    write_file(target, "first")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("out")
    write_file(link, "second")
    assert link.is_symlink() and target.read_text() == "second" and mode(target) == 0o640

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device") as failed:
        write_file(target, "third")
    assert failed.value.filename == str(target)
    assert target.read_text() == "second" and sorted(os.listdir(tmp_path)) == ["link", "out"]


def test_names_of_temporary_files_are_not_foretold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(os.path.basename(a)), replace(a, b)))
    for _ in range(2):
        write_file(tmp_path / "out", "x")
    assert len(set(seen)) == 2 and all(len(name) == len(".out.") + 16 for name in seen)


def test_link_in_the_output_directory_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "victim").write_text("mine")
    out.mkdir()
    (out / "file").symlink_to(outside / "victim")
    (out / "below").symlink_to(outside)
    with output_directory(out) as place:
        (place / "below").mkdir()
        (place / "below" / "victim").write_text("theirs")
        (place / "file").write_text("theirs")
    assert (outside / "victim").read_text() == "mine" and os.listdir(outside) == ["victim"]
    assert (out / "file").read_text() == (out / "below" / "victim").read_text() == "theirs"
    assert sorted(os.listdir(tmp_path)) == ["out", "outside"]


def test_pages_go_through_no_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("mine")
    fix = Path(__file__).parent / "data" / "cases" / "fix.patch"
    assert main(["sidebyside", "--patch", str(fix), "-o", str(out)]) == 0
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(victim)
    assert main(["sidebyside", "--patch", str(fix), "-o", str(out)]) == 0, capsys.readouterr().err
    assert victim.read_text() == "mine" and not (out / "index.html").is_symlink()


@pytest.mark.parametrize("name", ["../../escape.c", "/tmp/escape.c", "drivers/dma/qcom/../../../../escape.c", "a\0b.c", "C:\\x.c"])
def test_patch_names_no_place_to_write(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A path in a patch is a name to look up, whatever it says."""
    patch = tmp_path / "evil.patch"
    hidma_ll = "drivers/dma/qcom/hidma_ll.c"
    patch.write_text("".join(f"--- /dev/null\n+++ b/{each}\n@@ -0,0 +1,1 @@\n+int x;\n" for each in (name, hidma_ll)))
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    assert main(["sidebyside", "--patch", str(patch), "-o", str(place / "out")]) in (0, 2)
    assert {path for path in tmp_path.rglob("*") if path not in before and place not in path.parents} == set()
    assert not Path("/tmp/escape.c").exists() and "Traceback" not in capsys.readouterr().err


def test_packed_patch_is_bounded_when_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "LARGEST", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(TreeError, match="larger than 1 MiB when it is unpacked"):
        from_patch(path)


# --- what hidma qemu --fetch brings -------------------------------------------------------------------------------------------


def test_member_of_a_package_stays_below_the_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    prefix = "./lib/modules/6.1/kernel/drivers/dma"
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in (f"{prefix}/good.ko", f"{prefix}/../../../../../../../evil.ko"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    (tmp_path / "packed").write_bytes(packed.getvalue())
    tool = tmp_path / "bin" / "dpkg-deb"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nexec cat {tmp_path}/packed\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    target = tmp_path / "deep" / "guest"
    packages._unpack(Path("x.deb"), target)
    assert [path.name for path in tmp_path.rglob("*.ko")] == ["good.ko"]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
def test_apt_refuses_what_is_not_signed_whatever_its_own_configuration_allows(tmp_path: Path,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    repository, work = tmp_path / "repository", tmp_path / "work"
    repository.mkdir()
    (repository / "Packages").write_text("")
    (repository / "Release").write_text("Origin: nobody\n")
    (tmp_path / "apt.conf").write_text('APT::Get::AllowUnauthenticated "true"; Acquire::AllowInsecureRepositories "true";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    options = packages.apt_options(work, None)
    (work / "sources.list").write_text(f"deb copy:{repository} ./\n")
    options += ["-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"]
    with pytest.raises(QemuError, match="is not signed"):
        packages.run_apt(["apt-get", *options, "update"], work, "the package lists")


def test_fetch_says_what_was_checked_and_refuses_an_unsigned_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tool = tmp_path / "tool"
    tool.touch()
    monkeypatch.setattr(shutil, "which", lambda name: str(tool))
    trusted = "yes"

    def run(command: list[str], directory: Path, what: str) -> str:
        if "indextargets" in command:
            return f"yes http://one/\n{trusted} http://two/\n"
        return "linux-image-arm64\nlinux-image-6.1-arm64\n"

    monkeypatch.setattr(packages, "run_apt", run)
    said: list[str] = []
    with pytest.raises(QemuError, match="do not hold what is expected"):  # the run above brings no package
        packages.fetch(said.append)
    assert said[-1].startswith("apt has checked the packages: ")
    trusted = "no"
    with pytest.raises(QemuError, match="the package list of http://two/ is not signed with a key that apt trusts"):
        packages.fetch(said.append)
    assert mode(tmp_path / "cache" / "hidma") == mode(packages.cache_dir()) == 0o700


def test_nothing_listens_on_the_network() -> None:
    """The only sockets are pairs and that of a private directory."""
    source = subprocess.run(["grep", "-rnE", r"AF_INET|create_server|socketserver|http\.server", Path(hidma.__file__).parent,
                             "--include=*.py"], capture_output=True, text=True)
    assert source.stdout == "" and socket.AF_UNIX
