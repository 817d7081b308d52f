# SPDX-License-Identifier: GPL-2.0-only
"""The mounted tree: ordinary programs read and write the files of the machine, and find the errno of its kernel."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fuse_rig import needs_fuse

import hidma

PLATFORM = "sys/devices/platform"
MGMT = f"{PLATFORM}/f9984000.hidma-mgmt"
DRIVERS = "sys/bus/platform/drivers"


class Mounted:
    """One ``hidma mount`` that runs."""

    def __init__(self, where: Path, *options: str) -> None:
        self.where = where
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hidma", "mount", str(where), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        if not self.first:
            raise AssertionError(self.process.communicate()[1])

    def __truediv__(self, path: str) -> Path:
        return self.where / path

    def bash(self, commands: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run commands with the mount as working directory."""
        return subprocess.run(
            ["bash", "-c", commands],
            cwd=self.where,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it with a signal: exit status and errors."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        err = self.process.communicate(timeout=60)[1]
        return self.process.returncode, err


def mounted_at(where: Path) -> bool:
    return str(where) in Path("/proc/self/mounts").read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount for tests that leave nothing changed."""
    mount = Mounted(tmp_path_factory.mktemp("shared"), "--time", "step")
    try:
        yield mount
    finally:
        mount.end()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mounted]:
    """A mount for one test."""
    where = tmp_path / "machine"
    where.mkdir()
    mount = Mounted(where, "--time", "step")
    try:
        yield mount
    finally:
        mount.end()


class TestFiles:
    """Programs on the mounted tree."""

    pytestmark = needs_fuse

    def test_bash_sets_a_weight_and_cat_reads_it(self, own: Mounted) -> None:
        done = own.bash(f"cd {MGMT}/chanops/chan0; cat weight; echo 15 > weight; cat weight")
        assert (done.stdout, done.stderr, done.returncode) == ("1\n15\n", "", 0)

    @pytest.mark.parametrize(
        ("commands", "err"),
        [
            ("echo 16 > weight", "write error: Invalid argument"),
            ("echo abc > weight", "write error: Invalid argument"),
            ("echo 18446744073709551616 > weight", "write error: Numerical result out of range"),
            ("echo 1 > ../../dma_channels", "../../dma_channels: Permission denied"),
            ("cat ../../../../../bus/platform/drivers/hidma/bind", "Permission denied"),
            ("echo x > ../../../../../bus/platform/drivers/hidma/bind", "write error: No such device"),
            ("echo 1 > nothing", "nothing: Permission denied"),
            ("cat nothing", "nothing: No such file or directory"),
            ("cat weight/x", "weight/x: Not a directory"),
            ("mkdir x", "Operation not permitted"),
            ("rm -f weight", "Operation not permitted"),
            ("mv weight x", "Operation not permitted"),
            ("chmod 600 weight", "Operation not permitted"),
        ],
    )
    def test_errno_of_the_kernel_comes_through(self, commands: str, err: str, shared: Mounted) -> None:
        done = shared.bash(f"cd {MGMT}/chanops/chan1; {commands}")
        assert done.returncode == 1
        assert done.stderr.strip().endswith(err)
        assert (shared / f"{MGMT}/chanops/chan1/weight").read_text() == "1\n"

    def test_modes_owners_sizes_and_links_are_those_of_the_kernel(self, shared: Mounted) -> None:
        facts = os.stat(shared / f"{MGMT}/max_wr_xactions")
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_size, facts.st_nlink) == (
            0o666,
            0,
            0,
            4096,
            1,
        )
        assert stat.S_IMODE(os.stat(shared / f"{MGMT}/dma_channels").st_mode) == 0o444
        assert stat.S_IMODE(os.stat(shared / "sys/kernel/debug").st_mode) == 0o700
        assert os.readlink(shared / f"{MGMT}/driver") == "../../../bus/platform/drivers/hidma-mgmt"
        assert (shared / f"{MGMT}/driver/f9984000.hidma-mgmt/chanops").is_dir()
        done = shared.bash(f"ls -l {MGMT}")
        assert "\nlrwxrwxrwx 1 root root    0 " in done.stdout and " driver -> ../../../bus" in done.stdout

    def test_files_whose_size_is_0_are_read_whole(self, shared: Mounted) -> None:
        done = shared.bash("cat sys/kernel/debug/hidma.0/stats proc/interrupts")
        assert "nr_descriptors=64" in done.stdout and "GIC" in done.stdout
        assert os.stat(shared / "sys/kernel/debug/hidma.0/stats").st_size == 0

    def test_grep_and_find_go_through_the_whole_tree(self, shared: Mounted) -> None:
        done = shared.bash("grep -r . sys/devices")
        assert f"{MGMT}/chanops/chan3/weight:1" in done.stdout.splitlines()
        # what a device without autosuspend answers
        assert all(line.endswith("power/autosuspend_delay_ms: Input/output error") for line in done.stderr.splitlines())
        done = shared.bash(
            "find . -name weight | wc -l; find sys/class/dma -type l | wc -l; "
            "find -L sys/class/dma -maxdepth 2 -name in_use | wc -l"
        )
        assert done.stdout.split() == ["6", "6", "6"]

    def test_one_write_is_one_store_however_long(self, own: Mounted) -> None:
        fd = os.open(own / f"{MGMT}/max_wr_xactions", os.O_WRONLY)
        try:
            assert os.write(fd, b"8\0abc") == 5
            # the kernel hands a page on at a time
            assert os.write(fd, b"0" * 5000) == 4096
            with pytest.raises(OSError) as error:
                os.write(fd, b"1" * 5000)
            assert error.value.errno == errno.ERANGE
            assert os.write(fd, b"+0x1f\n") == 6
            assert os.pwrite(fd, b"5", 100) == 1
        finally:
            os.close(fd)
        assert (own / f"{MGMT}/max_wr_xactions").read_text() == "5\n"

    def test_two_readers_each_have_their_own_text(self, own: Mounted) -> None:
        path = own / f"{MGMT}/chanops/chan2/weight"
        first, second = os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY)
        try:
            assert os.read(first, 1) == b"1"
            path.write_text("12")
            assert os.read(second, 10) == b"12\n"
            assert os.read(first, 10) == b"\n"
            assert os.pread(first, 10, 0) == b"12\n"
        finally:
            os.close(first)
            os.close(second)

    def test_unbind_and_bind_through_the_tree_move_a_channel(self, own: Mounted) -> None:
        done = own.bash(
            f"cd {DRIVERS}/hidma; echo hidma.4 > unbind; ls ../../../../class/dma | wc -l; ls -d hidma.4; "
            "echo hidma.4 > bind; ls ../../../../class/dma | wc -l; cat hidma.4/dma/dma4chan0/in_use"
        )
        assert done.stdout.split() == ["5", "6", "0"]
        assert done.stderr == "ls: cannot access 'hidma.4': No such file or directory\n"

    def test_reader_of_a_file_that_vanished_gets_enodev(self, own: Mounted) -> None:
        fd = os.open(own / f"{MGMT}/hidma.1/dma/dma1chan0/in_use", os.O_RDONLY)
        try:
            (own / f"{DRIVERS}/hidma/unbind").write_text("hidma.1")
            with pytest.raises(OSError) as error:
                os.pread(fd, 10, 0)
            assert error.value.errno == errno.ENODEV
            with pytest.raises(OSError) as error:
                (own / f"{MGMT}/hidma.1/chid").read_text()
            assert error.value.errno == errno.ENODEV
        finally:
            os.close(fd)

    def test_writer_and_unbinder_race_and_lose_nothing(self, own: Mounted) -> None:
        rounds = 40
        weights = (
            f"for i in $(seq {rounds}); do for w in 3 7; do echo $w > {MGMT}/chanops/chan0/weight || echo lost; "
            f"cat {MGMT}/chanops/chan0/weight; done; done"
        )
        binding = (
            f"for i in $(seq {rounds}); do for f in unbind bind; do echo hidma.0 > {DRIVERS}/hidma/$f || echo lost; "
            f"cat {MGMT}/hidma.0/dma/dma0chan0/in_use 2>/dev/null; done; done"
        )
        found: dict[str, subprocess.CompletedProcess[str]] = {}

        def work(name: str, commands: str) -> None:
            found[name] = own.bash(commands)

        threads = [threading.Thread(target=work, args=one) for one in (("weights", weights), ("binding", binding))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found["weights"].stdout.split() == ["3", "7"] * rounds, found["weights"].stderr
        assert found["binding"].stdout.split() == ["0"] * rounds, found["binding"].stderr
        assert (own / f"{MGMT}/hidma.0/dma/dma0chan0/in_use").read_text() == "0\n"
        assert own.end() == (0, "")

    def test_python_writes_as_any_program_does(self, own: Mounted) -> None:
        path = own / f"{MGMT}/chanops/chan5/priority"
        with open(path, "r+") as file:
            assert file.read() == "0\n"
            file.seek(0)
            file.write("1\n")
        assert path.read_text() == "1\n"
        with pytest.raises(OSError) as error:
            path.write_text("2")
        assert error.value.errno == errno.EINVAL

    @pytest.mark.slow
    def test_documentation_is_complete_for_a_mounted_tree(self, shared: Mounted) -> None:
        for where in (shared.where, shared / "sys"):
            done = subprocess.run(
                [sys.executable, "-m", "hidma", "abi", "undefined", str(where)], capture_output=True, text=True, timeout=60
            )
            assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)

    def test_archive_of_the_tree_holds_what_the_files_say(self, shared: Mounted, tmp_path: Path) -> None:
        done = shared.bash(
            f"cp -rL --no-preserve=mode {MGMT}/chanops {tmp_path}/copy && cat {tmp_path}/copy/chan0/weight"
        )
        assert (done.stdout, done.stderr) == ("1\n", "")


def ctl(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hidma", "ctl", *map(str, words)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


class TestControl:
    """A mounted machine is steered from outside."""

    pytestmark = needs_fuse

    def test_modules_are_loaded_and_the_log_is_read(self, own: Mounted) -> None:
        done = ctl(own.where, "modprobe", "-a", "dmatest", "vfio-platform")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (own / "sys/module/dmatest").is_dir() and (own / "sys/bus/platform/drivers/vfio-platform").is_dir()
        (own / "dev/kmsg").write_text("from outside\n")
        assert ctl(own.where, "dmesg", "-t").stdout.endswith("\nfrom outside\n")
        assert (own / "proc/cmdline").read_text() == "\n"
        assert (own / "proc/device-tree/model").read_bytes() == b"HIDMA host\0"
        assert ctl("lsmod", HIDMA_CONTROL=os.readlink(own / "run/control")).stdout.count("\n") == 7
        assert ctl(own.where, "dmatest", "iterations=1").returncode == 1  # it is loaded already

    def test_mistakes_are_sentences(self, own: Mounted, tmp_path: Path) -> None:
        done = ctl(own.where, "reboot")
        assert done.returncode == 127 and done.stderr.startswith("hidma: the machine has no program 'reboot'; there are date, ")
        done = ctl(tmp_path, "dmesg")
        assert (done.returncode, done.stderr) == (
            2, f"hidma: {tmp_path} is no mount of a machine; mount one with: hidma mount {tmp_path}\n")
        assert ctl("dmesg").stderr == ("hidma: there is no machine here: hidma ctl DIR dmesg reaches one that is mounted on DIR\n")

    def test_program_below_the_mount_finds_the_clients(self, tmp_path: Path) -> None:
        script = ("modprobe dmatest || exit 9; sleep 2; cut -d. -f1 $0/proc/uptime; ls -d $0/sys/module/dmatest; "
                  "ls $0/dev/kmsg $0/proc/kmsg; stat -c '%a %F' $HIDMA_CONTROL; stat -c %a $(dirname $HIDMA_CONTROL)")
        done = subprocess.run(
            [sys.executable, "-m", "hidma", "mount", str(tmp_path), "--time", "step", "--", "bash", "-c", script, str(tmp_path)],
            capture_output=True, text=True, timeout=120)
        assert (done.stdout.splitlines(), done.stderr, done.returncode) == (
            ["2", f"{tmp_path}/sys/module/dmatest", f"{tmp_path}/dev/kmsg", f"{tmp_path}/proc/kmsg", "600 socket", "700"], "", 0)

    def test_reader_of_the_log_waits_for_a_message_and_can_be_interrupted(self, own: Mounted) -> None:
        fd = os.open(own / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(BlockingIOError):
                while True:
                    assert os.read(fd, 8192)
            os.set_blocking(fd, True)
            found: list[bytes] = []
            reader = threading.Thread(target=lambda: found.append(os.read(fd, 8192)))
            reader.start()
            (own / "dev/kmsg").write_text("<5>now\n")
            reader.join(60)
            assert found[0].endswith(b";now\n") and found[0].startswith(b"13,")
        finally:
            os.close(fd)
        done = own.bash("timeout -s INT 1 cat dev/kmsg > /dev/null; echo $?")
        assert done.stdout == "124\n"

    def test_two_shells_share_one_machine(self, own: Mounted) -> None:
        control = os.readlink(own / "run/control")
        work = (f"export HIDMA_CONTROL={control} PATH={os.readlink(own / 'run/bin')}:$PATH; for i in 1 2 3 4 5; do "
                f"modprobe dmatest 2>/dev/null; rmmod dmatest 2>/dev/null; run 1ms || exit 1; done; lsmod | wc -l")
        found: list[subprocess.CompletedProcess[str]] = []
        threads = [threading.Thread(target=lambda: found.append(own.bash(work))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [done.returncode for done in found] == [0, 0]
        assert int(ctl(own.where, "lsmod").stdout.count("\n")) == 3


class TestUsers:
    """Who is not root."""

    pytestmark = needs_fuse

    @pytest.fixture
    def others(self, tmp_path: Path) -> Iterator[Mounted]:
        for directory in (tmp_path, *tmp_path.parents):
            if directory != Path("/tmp") and directory != Path("/"):
                directory.chmod(directory.stat().st_mode | 0o011)
        where = tmp_path / "machine"
        where.mkdir()
        mount = Mounted(where, "--time", "step", "--allow-other")
        try:
            yield mount
        finally:
            mount.end()

    def test_modes_hold_for_who_is_not_root(self, others: Mounted) -> None:
        done = subprocess.run(
            [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "bash",
                "-c",
                f"cd {others.where}; echo 7 > {MGMT}/chanops/chan0/weight; cat {MGMT}/chanops/chan0/weight; "
                f"echo on > {MGMT}/power/control; ls sys/kernel/debug; echo hidma.0 > {DRIVERS}/hidma/unbind",
            ],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        assert done.stdout == "7\n"
        assert [line.rpartition(": ")[2] for line in done.stderr.splitlines()] == ["Permission denied"] * 3


class TestEnds:
    """How a mount begins and ends."""

    pytestmark = needs_fuse

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_signal_unmounts(self, number: signal.Signals, tmp_path: Path) -> None:
        mount = Mounted(tmp_path)
        assert str(tmp_path) in mount.first
        assert mounted_at(tmp_path)
        assert mount.end(number) == (0, "")
        assert not mounted_at(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_signal_unmounts_although_somebody_is_inside(self, tmp_path: Path) -> None:
        mount = Mounted(tmp_path)
        held = os.open(tmp_path / f"{MGMT}/uevent", os.O_RDONLY)
        try:
            assert mount.end() == (0, "")
            assert not mounted_at(tmp_path)
        finally:
            with suppress(OSError):  # close() finds the other side gone
                os.close(held)

    def test_umount_ends_the_program(self, tmp_path: Path) -> None:
        mount = Mounted(tmp_path)
        subprocess.run(["umount", tmp_path], check=True)
        mount.process.communicate(timeout=60)
        assert mount.process.returncode == 0

    def test_program_runs_while_it_is_mounted_and_gives_the_status(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "hidma",
                "mount",
                str(tmp_path),
                "--board",
                "guest",
                "--",
                "sh",
                "-c",
                f"ls {tmp_path}/sys/class/dma; pwd; exit 7",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/usr",
            env={**os.environ, "PYTHONPATH": str(Path(hidma.__file__).parent.parent)},
        )
        assert (done.stdout, done.stderr, done.returncode) == ("dma0chan0\n/usr\n", "", 7)
        assert not mounted_at(tmp_path)

    def test_mount_of_a_killed_process_is_explained(self, tmp_path: Path) -> None:
        mount = Mounted(tmp_path)
        try:
            mount.process.kill()
            mount.process.communicate()
            done = subprocess.run(
                [sys.executable, "-m", "hidma", "mount", str(tmp_path)], capture_output=True, text=True
            )
            assert done.returncode == 2
            assert "still has a mount whose process was killed" in done.stderr and "fusermount3 -u" in done.stderr
        finally:
            subprocess.run(["umount", "-l", tmp_path], check=True)

    def test_virtual_time_keeps_pace_or_stands(self, tmp_path: Path) -> None:
        def uptime(mount: Mounted) -> float:
            return float((mount / "proc/uptime").read_text().split()[0])

        def later(mount: Mounted) -> float:
            first, limit = uptime(mount), time.monotonic() + 30
            while uptime(mount) < first + 0.3 and time.monotonic() < limit and mount is real:
                pass
            return uptime(mount) - first

        for name in ("real", "step"):
            (tmp_path / name).mkdir()
        real, step = Mounted(tmp_path / "real"), Mounted(tmp_path / "step", "--time", "step")
        try:
            assert later(real) > 0.29
            assert later(step) == 0
        finally:
            real.end()
            step.end()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "does not exist; make the directory first"),
        (lambda path: path.write_text("x"), "is no directory"),
        (lambda path: (path.mkdir(), (path / "x").touch()), "is not empty"),
    ],
)
def test_directory_that_cannot_be_used_is_refused_in_one_sentence(make: object, sentence: str, tmp_path: Path) -> None:
    where = tmp_path / "there"
    make(where)  # type: ignore[operator]
    done = subprocess.run([sys.executable, "-m", "hidma", "mount", str(where)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"hidma: {where} {sentence}")
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_missing_binding_library_and_device_name_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from hidma.commands.main import main
    from hidma.commands.mount import fuse

    where = tmp_path / "there"
    where.mkdir()

    def says(sentence: str) -> None:
        assert main(["mount", str(where)]) == 2
        assert sentence in capfd.readouterr().err

    monkeypatch.setattr(fuse, "DEVICE", str(tmp_path / "nothing"))
    says("modprobe fuse")
    monkeypatch.setattr(fuse, "DEVICE", "/dev/null")
    modules = tmp_path / "modules"
    modules.mkdir()
    monkeypatch.syspath_prepend(str(modules))
    monkeypatch.delitem(sys.modules, "mfusepy", raising=False)
    (modules / "mfusepy.py").write_text("raise OSError('Unable to find libfuse')\n")
    says("apt install libfuse3-3")
    shutil.rmtree(modules / "__pycache__", ignore_errors=True)
    (modules / "mfusepy.py").write_text("raise ModuleNotFoundError('no', name='mfusepy')\n")
    monkeypatch.delenv("HIDMA_TOOL", raising=False)
    with pytest.raises(fuse.Unusable, match=r"needs the Python module mfusepy: pip install .*\[fuse\]'"):
        fuse.binding()
    monkeypatch.delitem(sys.modules, "mfusepy", raising=False)


def test_oops_is_eio_for_who_asked_and_ends_the_mount() -> None:
    from hidma.commands.mount.server import Job, Server
    from hidma.commands.mount.tree import Tree
    from hidma.linux.sched import KernelOops

    with hidma.boot() as machine:
        server = Server(machine)
        tree = Tree(server, own=False, context=lambda: (0, 0, 0))

        def strike() -> int:
            raise KernelOops("kernel BUG: a test", 36)

        for _ in range(2):
            with pytest.raises(OSError) as error:
                server.call(strike)
            assert error.value.errno == errno.EIO
        server.serve()  # it was told to end
        assert server.oops is not None and server.oops.row == 36
        with pytest.raises(OSError):
            tree.getattr("/sys")
        with pytest.raises(OSError) as error:
            server.enqueue(Job(strike, ()))
        assert error.value.errno == errno.EIO


LATE_SIGNAL = """
import os, signal, threading, hidma
from hidma.commands.mount.server import Server

with hidma.boot() as machine:
    server = Server(machine)
    signal.signal(signal.SIGTERM, lambda number, frame: server.stop())
    waits = threading.Event()
    threading.Thread(target=lambda: (waits.wait(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    get = server.jobs.get

    class Jobs:
        put, get_nowait = server.jobs.put, server.jobs.get_nowait

        def get(self):
            waits.set()
            return get()

    server.jobs = Jobs()
    server.serve()
print("ended")
"""


def test_a_signal_ends_a_server_that_waits_for_calls_whichever_thread_it_comes_to() -> None:
    """As a signal that comes just before the main thread waits: nothing interrupts the wait."""
    done = subprocess.run([sys.executable, "-c", LATE_SIGNAL], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("ended\n", "")
