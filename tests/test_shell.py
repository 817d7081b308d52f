# SPDX-License-Identifier: GPL-2.0-only
"""The shell: real programs and scripts on the files of a machine, its clients, and the small prompt."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest
from fuse_rig import needs_fuse

import hidma
from hidma.commands.main import main
from hidma.commands.mount import fuse, namespace
from hidma.commands.shell import client
from hidma.commands.shell.cli import program
from hidma.commands.shell.programs import PROGRAMS

ROOT = Path(hidma.__file__).parent.parent
SCRIPTS = Path(__file__).resolve().parent / "data" / "shell"
MGMT = "/sys/devices/platform/f9984000.hidma-mgmt"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
SECONDS = 300


def hidma_shell(*args: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", "-m", "hidma", "shell", *args], input=stdin, capture_output=True, text=True,
                          timeout=SECONDS, env=ENVIRONMENT, cwd=cwd)


def mounts() -> list[str]:
    """The mounts of a machine's files that every process sees, without those that tests of `hidma mount` hold meanwhile."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if "fuse.hidma" in line and "/pytest-" not in line]


class TestScripts:
    """Scripts as people publish them, unchanged, with the exit status that they have on a real machine."""

    pytestmark = needs_fuse

    @pytest.mark.slow
    @pytest.mark.parametrize(("words", "status", "out"), [
        ("guide-loop.sh", 0, "channels: 6, summaries: 6, failures: 0\n"),
        ("guide-modprobe.sh", 0, "Y\ndmatest: Added 1 threads using dma0chan0\ndmatest: Started 1 threads using dma0chan0\n"
                                 "dmatest: dma0chan0-copy0: summary 1 tests, 0 failures 1000000.00 iops 5000000 KB/s (0)\n"),
        ("vendor-wrapper.sh -c dma1chan0,dma4chan0 -i 7", 0, "2 channels, 14 tests, 0 failures\n"),
        ("vendor-wrapper.sh -c dma9chan0", 4, ""),
        ("vendor-wrapper.sh -z", 2, ""),
        ("rounds.sh 50", 0, "rounds: 50, threads without failure: 150\n"),
        ("vfio-bind.sh hidma.1 hidma.5", 0, "hidma.1: group 1, driver vfio-platform, members hidma.1\n"
                                            "hidma.5: group 5, driver vfio-platform, members hidma.5\n"),
        ("vfio-bind.sh hidma.77", 2, ""),
        ("vfio-unbind.sh", 0, "dma2chan0\n"),
        ("override.sh", 1, "override: hidma.3: hidma -> vfio-platform\nhidma.3 vfio-platform [*]\n"
                           "override: hidma.3: vfio-platform -> hidma\n"),
        ("qos.sh", 0, "chan0 1 1\nchan1 0 2\nchan2 0 4\nchan3 0 8\nchan4 0 15\nchan5 0 1\nrefused: 4\n"),
        ("threads.sh", 0, "1 1 1\n2 2 1\n4 4 1\n"),
        ("report.sh", 0, None),
    ])
    def test_script_runs_unchanged(self, words: str, status: int, out: str | None) -> None:
        script, *arguments = words.split()
        done = hidma_shell(str(SCRIPTS / script), *arguments)
        assert (done.returncode, done.stdout) == (status, done.stdout if out is None else out), done.stderr
        if status == 0:
            assert done.stderr == ""

    def test_report_says_what_the_machine_has(self) -> None:
        lines = hidma_shell(str(SCRIPTS / "report.sh")).stdout.splitlines()
        assert lines[0].startswith("kernel: 4.5.0-rc1 on aarch64, modules: h")
        assert lines[1:3] == ["model: HIDMA host", "6"]
        assert lines[-1] == "suspended after 2 s"

    def test_oops_ends_the_script_and_names_its_row(self) -> None:
        done = hidma_shell(str(SCRIPTS / "many-threads.sh"))
        assert (done.returncode, done.stdout) == (1, "")
        assert "Internal error: Oops: kernel BUG: tx->cookie < DMA_MIN_COOKIE\n" in done.stderr
        assert "V14: this is row 60 of docs/quirks\n" in done.stderr

    @pytest.mark.slow
    def test_same_script_gives_the_same_log_twice(self) -> None:
        logs = [hidma_shell("-c", f"{SCRIPTS}/rounds.sh 3 > /dev/null; {SCRIPTS}/override.sh >/dev/null 2>&1; dmesg").stdout
                for _ in range(2)]
        assert logs[0] == logs[1] != ""
        assert "override: hidma.3" in logs[0]

    def test_getters_of_dmatest_are_called_by_cat(self) -> None:
        done = hidma_shell("-c", "modprobe dmatest; cd /sys/module/dmatest/parameters; echo 20 > iterations; "
                           "echo dma0chan0 > channel; cat test_list; dmesg -t | tail -n 1; echo 1 > run; cat wait; cat run; "
                           "cat channel; cat /sys/class/dma/dma0chan0/in_use; dmesg | grep -c summary")
        assert (done.stdout, done.returncode) == ("dmatest: 1 threads using dma0chan0\nY\nN\n\n0\n1\n", 0)

    def test_here_document_that_is_never_asked_for_harms_nothing(self) -> None:
        done = hidma_shell("-c", "usage()\n{\n  cat <<-EOF >&2\n    usage: this\nEOF\n  exit 0\n}\necho started\n"
                           "modprobe dmatest iterations=1 run=1 wait=1\ndmesg | grep -cw '0 failures'\n")
        assert (done.stdout, done.stderr, done.returncode) == ("started\n6\n", "", 0)

    def test_log_device_console_level_and_text_tools(self) -> None:
        done = hidma_shell("-c", "echo 'marker: second run' > /dev/kmsg; dmesg -t | tail -n 1; dmesg -n 3; echo $?; "
                           "cut -f1 /proc/sys/kernel/printk; sync; echo $?; echo 'a b' | sed 's/a/c/'; dmesg -xu")
        assert done.stdout.splitlines()[:-1] == ["marker: second run", "0", "3", "0", "c b"]
        assert re.fullmatch(r"user  :warn  : \[ +0\.\d{6}\] marker: second run", done.stdout.splitlines()[-1])


class TestPrograms:
    """What the clients do."""

    pytestmark = needs_fuse

    def test_modprobe_has_the_options_of_kmod(self) -> None:
        at = "/lib/modules/4.5.0-rc1/kernel/drivers/vfio"
        done = hidma_shell("-c", """
            modprobe -D vfio-platform; modprobe -n dmatest; lsmod | grep -c dmatest
            modprobe -av dmatest vfio-platform iommu
            modprobe nothing; echo $?; modprobe -q nothing; echo $?
            modprobe dmatest; echo $?; modprobe --first-time dmatest; echo $?
            modprobe -rv vfio-platform dmatest; modprobe -r hidma_mgmt; modprobe -x; modprobe; modprobe -r nothing
            cut -d' ' -f1 /proc/modules""")
        assert done.stdout.splitlines() == [
            f"insmod {at}/vfio.ko ", f"insmod {at}/platform/vfio-platform-base.ko ", f"insmod {at}/platform/vfio-platform.ko ",
            "insmod /lib/modules/4.5.0-rc1/kernel/drivers/dma/dmatest.ko", "0",
            "insmod /lib/modules/4.5.0-rc1/kernel/drivers/dma/dmatest.ko",
            f"insmod {at}/vfio.ko", f"insmod {at}/platform/vfio-platform-base.ko", f"insmod {at}/platform/vfio-platform.ko",
            "1", "1", "0", "1", "rmmod vfio_platform", "rmmod vfio_platform_base", "rmmod vfio", "rmmod dmatest",
            *done.stdout.splitlines()[-2:],
        ]
        assert done.stderr.splitlines() == [
            "modprobe: FATAL: Module iommu not found in directory /lib/modules/4.5.0-rc1",
            "modprobe: FATAL: Module nothing not found in directory /lib/modules/4.5.0-rc1",
            "modprobe: ERROR: could not insert 'dmatest': Module already in kernel",
            f"modprobe: ERROR: could not remove '{done.stdout.split()[-1]}': Device or resource busy",
            "modprobe: invalid option -- 'x'",
            "modprobe: ERROR: missing parameters. See -h.",
            "modprobe: FATAL: Module nothing not found.",
        ]

    def test_module_in_use_stays(self) -> None:
        done = hidma_shell("-c", """
            modprobe dmatest; cd /sys/module/dmatest/parameters; echo dma1chan0 > channel; echo 1 > run
            rmmod hidma; modprobe -r hidma; modprobe vfio-platform; rmmod vfio; echo 0 > run; rmmod hidma && echo gone
            rmmod nothing; insmod ./vfio-platform.ko && echo again; insmod /x/nothing.ko; modinfo dmatest | head -n 4""")
        assert [line.rpartition("Module ")[2] for line in done.stderr.splitlines()[:4]] == [
            done.stderr.split()[3] + " is in use", done.stderr.split()[3] + " is in use.",
            "vfio is in use by: vfio_platform_base vfio_platform", "nothing is not currently loaded"]
        assert "insmod: ERROR: could not insert module ./vfio-platform.ko: File exists" in done.stderr
        assert "could not load module /x/nothing.ko: No such file or directory" in done.stderr
        assert done.stdout.splitlines()[0] == "gone" and "license:        GPL v2" in done.stdout.splitlines()

    def test_refused_parameter_refuses_the_module(self) -> None:
        done = hidma_shell("-c", "modprobe dmatest iterations=many; echo $?; dmesg -t | tail -n 1; rmmod dmatest")
        assert done.stdout == "1\ndmatest: `many' invalid for parameter `iterations'\n"
        assert done.stderr.splitlines()[0] == "modprobe: ERROR: could not insert 'dmatest': Invalid argument"

    @pytest.mark.slow
    def test_dmesg_clears_filters_and_follows(self) -> None:
        done = hidma_shell("-c", "dmesg -C; dmesg; echo '<3>bad' > /dev/kmsg; echo good > /dev/kmsg; dmesg -l err -t; dmesg -r; "
                           "dmesg -l loud; (dmesg -w -t & p=$!; until dmesg -t | grep -q more; do echo more > /dev/kmsg; done; "
                           "read -t 1 < <(/bin/sleep 2); kill $p; wait $p); dmesg -ct | wc -l; dmesg")
        lines = done.stdout.splitlines()
        assert lines[0] == "bad"
        assert re.fullmatch(r"<11>\[ +0\.\d{6}\] bad", lines[1]) and re.fullmatch(r"<12>\[.*\] good", lines[2])
        assert lines[3:] == ["bad", "good", "more", "3"]
        assert done.stderr.splitlines()[0] == "dmesg: unknown level 'loud'"

    def test_time_is_virtual(self) -> None:
        begin = time.monotonic()
        done = hidma_shell("-c", "sleep 1h 0.5; cut -d' ' -f1 /proc/uptime; date +%s; run 5ms; date +%s.%N; run x; sleep x; "
                           "date -s 1")
        assert time.monotonic() - begin < 600
        assert done.stdout.splitlines() == ["3600.51", "3600", "3600.517021300"]
        assert done.stderr.splitlines() == ["run: how long? For example: run 5ms (ns, us, ms, s, m, h, d)",
                                            "sleep: invalid time interval 'x'",
                                            "date: cannot set date: the machine's clock began at power-on"]

    def test_dmatest_runs_to_its_end(self) -> None:
        done = hidma_shell("--fault", "read-burst:1", "-c",
                           "dmatest iterations=2 channel=dma0chan0 polled=1; echo $?; dmatest nothing=1; dmatest channel=dma9chan0")
        assert "summary 2 tests, 1 failures" in done.stdout and done.stdout.splitlines()[-1] == "1"
        assert done.stderr.splitlines() == ["dmatest: no such parameter: nothing; modinfo dmatest shows them",
                                            "dmatest: could not be started: Device or resource busy"]

    def test_every_program_is_documented(self) -> None:
        page = (ROOT / "docs" / "shell.rst").read_text()
        assert [name for name in PROGRAMS if f"``{name}``" not in page] == []


class TestSystem:
    """What of the computer is there, and what is not."""

    pytestmark = needs_fuse

    def test_nothing_of_the_computers_sys_is_there(self) -> None:
        done = hidma_shell("-c", "ls /sys /sys/kernel; echo 1 > /sys/kernel/mm/ksm/run; echo x > /proc/sys/kernel/hostname; "
                           "echo c > /proc/sysrq-trigger; echo 1 > /sys/new; mkdir /sys/new; ls /proc/sys/kernel")
        assert done.stdout.split() == ["/sys:", "bus", "class", "devices", "firmware", "kernel", "module", "/sys/kernel:", "debug",
                                       "iommu_groups", "printk"]
        assert [line.rpartition(": ")[2] for line in done.stderr.splitlines()] == [
            "No such file or directory", "Permission denied", "Permission denied", "Permission denied", "Operation not permitted"]

    def test_processes_and_jobs_are_the_shells_own(self) -> None:
        done = hidma_shell("-c", "cat <(echo sub); [ /proc/self/fd -ef /dev/fd ] && echo same; (exit 3) & wait $!; echo $?; "
                           "readlink /proc/$$/exe | grep -c bash; kill -TERM $$")
        assert (done.stdout.split(), done.returncode) == (["sub", "same", "3", "1"], 143)

    def test_working_directory_and_arguments_are_kept(self, tmp_path: Path) -> None:
        (tmp_path / "script").write_text("pwd; echo $# $2; exit 5\n")
        done = hidma_shell("script", "a", "b  c", cwd=tmp_path)
        assert (done.stdout, done.returncode) == (f"{tmp_path}\n2 b c\n", 5)
        done = hidma_shell("-c", "echo $0 $1", "x", "y")
        assert done.stdout == "x y\n"
        assert hidma_shell(stdin="echo from stdin\ncat\nline\n").stdout == "from stdin\nline\n"
        assert hidma_shell("ls", "/sys/class").stdout == "dma\n"

    def test_shell_in_a_shell_has_a_machine_of_its_own(self) -> None:
        inner = f"{sys.executable} -P -m hidma shell --board guest -c 'ls /sys/class/dma; modprobe dmatest; lsmod | grep -c dma'"
        done = hidma_shell("-c", f"rmmod hidma; {inner}; ls /sys/class/dma; lsmod | wc -l")
        assert (done.stdout, done.stderr) == ("dma0chan0\n3\n2\n", "")

    def test_users_who_may_not_mount_go_into_a_user_namespace(self) -> None:
        weight = f"{MGMT}/chanops/chan0/weight"
        commands = f"id -u; echo 15 > {weight}; cat {weight}; modprobe dmatest; ls /sys; readlink /proc/self/ns/user"
        done = subprocess.run(["setpriv", "--bounding-set=-sys_admin", sys.executable, "-P", "-m", "hidma", "shell", "-c",
                               commands], capture_output=True, text=True, env=ENVIRONMENT, timeout=SECONDS)
        if "user namespace" in done.stderr:
            pytest.skip(done.stderr.strip())
        assert (done.stdout.split()[:3], done.stderr, done.returncode) == (["0", "15", "bus"], "", 0)
        assert done.stdout.split()[-1] != os.readlink("/proc/self/ns/user")


class TestEnds:
    """How sessions end."""

    pytestmark = needs_fuse

    def test_status_of_the_last_command(self) -> None:
        assert hidma_shell("-c", "exit 7").returncode == 7
        assert hidma_shell("-c", "nonsense").returncode == 127
        assert mounts() == []

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_machine_that_dies_takes_the_shell_with_it(self, number: signal.Signals, tmp_path: Path) -> None:
        started = tmp_path / "started"
        process = subprocess.Popen([sys.executable, "-P", "-m", "hidma", "shell", "-c",
                                    f"trap '' HUP; echo $$ > {started}.new; mv {started}.new {started}; "
                                    f"while [ -e {started} ]; do /bin/sleep 0.1; done; "
                                    f"dmesg 2> {tmp_path}/said; cat /sys/class/dma/dma0chan0/in_use 2>> {tmp_path}/said; "
                                    f"echo > {tmp_path}/end"], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        wait_for(started)
        inside = int(started.read_text())
        process.send_signal(number)
        if number == signal.SIGTERM:
            process.communicate(timeout=60)
            assert process.returncode == 137  # the shell did not end by SIGHUP
            started.unlink()
        else:
            process.wait(60)
            started.unlink()
            wait_for(tmp_path / "end")
            assert (tmp_path / "said").read_text().splitlines() == [
                "dmesg: the machine has gone",
                "cat: /sys/class/dma/dma0chan0/in_use: Transport endpoint is not connected"]
        wait_gone(inside)
        assert process.stderr is not None
        process.stderr.close()
        assert mounts() == []

    def test_mount_that_is_taken_away_is_said(self) -> None:
        done = hidma_shell("-c", "tree=$(dirname $HIDMA_CONTROL)/tree; umount -l /sys /proc /dev/kmsg $tree; "
                           "exec /bin/sleep 30")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "hidma: the files of the machine were unmounted from outside\n"

    def test_writer_that_is_killed_leaves_the_machine_whole(self) -> None:
        done = hidma_shell("-c", f"""
            cd {MGMT}/chanops/chan0; (while :; do echo 7 > weight; done) & p=$!
            for i in 1 2 3 4 5; do cat weight > /dev/null; done; kill -9 $p; wait $p; echo 9 > weight; cat weight""")
        assert (done.stdout.splitlines()[-1], done.returncode) == ("9", 0)

    def test_oops_while_booting(self) -> None:
        done = hidma_shell("--board", "/nothing", "-c", "true")
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("hidma: /nothing: ")


    def test_output_goes_where_that_of_python_goes(self) -> None:
        out = io.StringIO()
        with redirect_stdout(out):
            assert main(["shell", "-c", "echo to a stream; exit 3"]) == 3
        assert out.getvalue() == "to a stream\n"


class TestTerminal:
    """A person at a terminal."""

    pytestmark = needs_fuse

    @pytest.fixture
    def terminal(self, tmp_path: Path) -> Iterator[Terminal]:
        terminal = Terminal(tmp_path)
        try:
            yield terminal
        finally:
            terminal.close()

    def test_prompt_jobs_and_ctrl_c(self, terminal: Terminal) -> None:
        terminal.expect("hidma:")
        terminal.type("ls /sys/class/dma | head -n 1\n")
        terminal.expect("dma0chan0\r\n")
        terminal.type("dmesg -wt\n")
        terminal.expect("registration complete")
        terminal.type("\x03")
        terminal.expect("hidma:")
        terminal.type("echo status $?\n")
        terminal.expect("status 130")
        terminal.type("exit 6\n")
        assert terminal.status() == 6


class Terminal:
    """``hidma shell`` on a pseudo-terminal."""

    def __init__(self, home: Path) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, "-P", "-m", "hidma", "shell"],
                      {**ENVIRONMENT, "SHELL": "/bin/bash", "HOME": str(home), "TERM": "dumb", "HISTFILE": "/dev/null"})

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str) -> None:
        limit = time.monotonic() + 120
        while text not in self.seen:
            assert time.monotonic() < limit, self.seen
            if select.select([self.fd], [], [], 1)[0]:
                self.seen += os.read(self.fd, 65536).decode("utf-8", "replace")
        self.seen = self.seen.partition(text)[2]

    def status(self) -> int:
        with suppress(OSError):
            while os.read(self.fd, 65536):
                pass
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def wait_for(path: Path) -> None:
    limit = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.05)


def wait_gone(pid: int) -> None:
    limit = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < limit
        time.sleep(0.05)


# --- without a machine, without FUSE ----------------------------------------------------------------------------------


def run_client(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-IS", client.__file__, *words], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], **environment})


def test_client_without_a_machine_says_so(tmp_path: Path) -> None:
    assert run_client().stderr == ("client.py: there is no machine here; this program works below `hidma shell` and "
                                   "`hidma mount DIR -- PROGRAM`\n")
    done = run_client(HIDMA_CONTROL=str(tmp_path / "control"))
    assert (done.returncode, done.stderr) == (1, "client.py: the machine has gone\n")


def test_words_become_a_shell_a_script_or_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain, own = tmp_path / "plain.sh", tmp_path / "own"
    plain.write_text("true\n")
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert program("echo", ("a",))[1:] == ["-c", "echo", "a"]
    assert program(None, ("plain.sh", "x"))[1:] == ["plain.sh", "x"]
    assert program(None, ("./own", "x")) == [str(own), "x"]
    assert program(None, ("ls", "-l")) == ["ls", "-l"]
    for words, sentence in ((("nonsense",), "neither a script nor a command"), (("./nonsense",), "no such file"),
                            (("./",), "it is a directory")):
        with pytest.raises(Exception, match=sentence):
            program(None, words)


def test_without_fuse_a_sentence_and_the_small_prompt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                      capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fuse, "DEVICE", str(tmp_path / "nothing"))
    assert main(["shell", "-c", "ls /sys/class/dma"]) == 0
    out, err = capfd.readouterr()
    assert out.split() == [f"dma{n}chan0" for n in range(6)]
    assert re.fullmatch(r"hidma: there is no .*/nothing here; load the kernel module with: modprobe fuse .*; "
                        r"the small prompt serves instead\n", err)


def test_refused_namespace_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Libc:
        def unshare(self, flags: int) -> int:
            return -1

    monkeypatch.setattr(namespace, "libc", Libc())
    with pytest.raises(namespace.Refused, match="a user namespace is refused .*; root may allow it with: sysctl"):
        namespace.unshare()


def simple(commands: str, capfd: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    capfd.readouterr()
    status = main(["shell", "--simple", *options, "-c", commands])
    out, err = capfd.readouterr()
    return status, out, err


def test_small_prompt_reads_writes_and_loads(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = simple(
        "cd /sys/devices/platform/*.hidma-mgmt/chanops/chan0; ls; pwd; echo 15 > weight; cat weight; readlink ../../driver\n"
        "# a comment\nmodprobe dmatest && cat /sys/module/dmatest/initstate; sleep 3; cat /proc/uptime; exit; echo never", capfd)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["priority", "weight", f"{MGMT}/chanops/chan0", "15",
                                "../../../bus/platform/drivers/hidma-mgmt", "live", "3.01 24.10"]


@pytest.mark.parametrize(("commands", "sentence", "status"), [
    ("cat /nothing", "cat: /nothing: No such file or directory\n", 1),
    ("ls /nothing && echo never", "/nothing: No such file or directory\n", 1),
    (f"echo 16 > {MGMT}/chanops/chan0/weight", "echo: write error: Invalid argument\n", 1),
    ("echo 1 > /sys/new", "/sys/new: Permission denied\n", 1),
    ("cd /proc/version", "cd: /proc/version: Not a directory\n", 1),
    ("dmesg | tail", "|: the small prompt has none; a real shell has, where FUSE and mount namespaces are there\n", 1),
    ("nonsense", "nonsense: there is no such command here; help shows what there is\n", 1),
    ("rmmod nothing", "rmmod: ERROR: Module nothing is not currently loaded\n", 1),
    ("echo 'a", "hidma: no closing quotation\n", 2),
    ("dmesg > /sys/new", "dmesg > /sys/new: only echo writes to a file here\n", 1),
])
def test_mistakes_at_the_small_prompt_are_sentences(commands: str, sentence: str, status: int,
                                                    capfd: pytest.CaptureFixture[str]) -> None:
    assert simple(commands, capfd) == (status, "", sentence)


def test_small_prompt_helps_and_shows_an_oops(capfd: pytest.CaptureFixture[str]) -> None:
    assert all(f"\n{name} " in "\n" + simple("help", capfd)[1] for name in ("ls", "cat", "echo", *PROGRAMS))
    status, out, err = simple("dmatest iterations=8 threads_per_chan=100; echo never", capfd)
    assert (status, "never" in out) == (1, False)
    assert "V14: this is row 60 of docs/quirks" in err
