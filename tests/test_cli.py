# SPDX-License-Identifier: GPL-2.0-only
"""The command line: what it prints, exit statuses, and what it says about mistakes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hidma import firmware
from hidma.commands.main import COMMANDS, Lazy, main
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
CHANNELS = [f"dma{n}chan0" for n in range(6)]
STAMP = r"\[ *\d+\.\d{6}\] "

Run = tuple[int, str, str]


def hidma(capsys: pytest.CaptureFixture[str], *arguments: str) -> Run:
    """Exit status, stdout and stderr of a command, in this process."""
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def process(*arguments: str, **environment: str) -> Run:
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "hidma", *arguments], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: hidma(capsys, *arguments)


# --- dmatest ----------------------------------------------------------------------------------------------------------


def test_dmatest_tests_every_channel_a_hundred_times(run: Any) -> None:
    code, out, err = run("dmatest")
    assert code == 0
    lines = out.splitlines()
    for name in CHANNELS:
        assert re.search(rf"^{STAMP}dmatest: Started 1 threads using {name}$", out, re.M)
    summaries = [line for line in lines if "summary" in line]
    assert len(summaries) == 6
    for line in summaries:
        assert re.fullmatch(STAMP + r"dmatest: dma\dchan0-copy0: summary 100 tests, 0 failures \d+\.\d\d iops \d+ KB/s "
                            r"\(0\)", line)
    assert "Linux version" not in out


def test_iterations_0_is_a_hundred_too(run: Any) -> None:
    code, out, _ = run("dmatest", "--iterations", "0", "--max-channels", "1")
    assert (code, "summary 100 tests" in out) == (0, True)


def test_dmesg_option_shows_the_boot_too(run: Any) -> None:
    _, out, _ = run("dmatest", "--iterations", "1", "--dmesg")
    assert re.search(STAMP + "Linux version", out.splitlines()[0])
    assert out.count("HI-DMA engine driver registration complete") == 6
    assert out.count("summary 1 tests") == 6


def test_quiet_says_nothing(run: Any) -> None:
    assert run("dmatest", "--iterations", "1", "--quiet") == (0, "", "")


def test_quiet_still_says_what_failed(run: Any) -> None:
    code, out, err = run("dmatest", "--iterations", "1", "--quiet", "--fault", "irq-lost")
    assert (code, out) == (1, "")
    assert err.startswith("hidma: 1 of 6 tests failed")


@pytest.mark.parametrize(("options", "pattern"), [
    (["--channel", "dma4chan0"], r"Added 1 threads using dma4chan0\n(?!.*Added)"),
    (["--channel", "dma4chan0", "--channel", "dma1chan0"],
     r"Added 1 threads using dma4chan0\n.*Added 1 threads using dma1chan0"),
    (["--device", "hidma.3"], r"\A\S+ +\S+ dmatest: Added 1 threads using dma3chan0\n(?!.*Added)"),
    (["--iterations", "7"], r"summary 7 tests"),
    (["--iterations", "0x10"], r"summary 16 tests"),
    (["--threads-per-chan", "2"], r"Started 2 threads using dma0chan0.*dma0chan0-copy1: summary"),
    (["--threads_per_chan", "2"], r"Started 2 threads using dma0chan0.*dma0chan0-copy1: summary"),
    (["--max-channels", "2"], r"Added 1 threads using dma1chan0\n(?!.*Added)"),
    (["--verbose", "--norandom", "--test-buf-size", "8192"],
     r"'test passed' with src_off=0x0 dst_off=0x0 len=0x2000 \(0\)"),
    (["--verbose", "--transfer-size", "100"],
     r"'test passed' with src_off=0x\w+00 dst_off=0x\w+00 len=0x64 \(0\)"),
    (["--verbose", "--alignment", "13"],
     r"'test passed' with src_off=0x(?:0|2000) dst_off=0x(?:0|2000) len=0x(?:2000|4000)"),
    (["--timeout", "50", "--fault", "irq-lost"], r"\[    0\.062.*'test timed out'"),
    (["--polled"], r"\[    0\.01[5-9].*summary 3 tests"),
    (["--board", "guest"], r"\A\S+ +\S+ dmatest: Added 1 threads using dma0chan0\n(?!.*Added)"),
    (["--instant"], r"summary 3 tests, 0 failures \d+"),
], ids=" ".join)
def test_every_option_has_its_effect(run: Any, options: list[str], pattern: str) -> None:
    iterations = [] if "--iterations" in options else ["--iterations", "3"]
    code, out, _ = run("dmatest", *iterations, *options)
    assert re.search(pattern, out, re.S)
    assert code == ("--fault" in options)
    assert out != run("dmatest", "--iterations", "3")[1]


def test_noverify_believes_the_driver_and_the_command_does_not(run: Any) -> None:
    options = ["dmatest", "--polled", "--iterations", "2", "--max-channels", "1", "--fault", "read-burst:1"]
    code, out, err = run(*options)
    assert code == 1 and "not copied!" in out and "2 tests, 1 failures" in out
    code, out, err = run(*options, "--noverify")
    assert "not copied!" not in out and "2 tests, 0 failures" in out
    assert code == 1
    assert err.startswith("hidma: dmatest saw no failure, but 1 of 2 transfers did not end well; the first: "
                          "dma0chan0-copy0 test 1: the driver says DMA_COMPLETE, the hardware failed: ")


def test_the_seed_decides_everything(run: Any) -> None:
    first = run("dmatest", "--iterations", "20", "--verbose", "--seed", "7")
    assert run("dmatest", "--iterations", "20", "--verbose", "--seed", "7") == first
    assert run("dmatest", "--iterations", "20", "--verbose", "--seed", "8")[1] != first[1]


def test_interpreted_and_compiled_print_the_same() -> None:
    options = ["dmatest", "--iterations", "20", "--verbose", "--fault", "read-burst:9"]
    plain = process(*options, HIDMA_INTERPRETED="")
    assert plain[0] == 1
    assert process(*options, "--interpreted", HIDMA_INTERPRETED="") == plain
    assert process(*options, HIDMA_INTERPRETED="1") == plain


@pytest.mark.skipif(not _mode.compiled(), reason="there are no extension modules, or they are passed over")
def test_interpreted_runs_the_sources() -> None:
    modes = [json.loads(process("dmatest", "--iterations", "1", "--json", *more)[1])["mode"]
             for more in ([], ["--interpreted"])]
    assert modes == ["compiled", "interpreted"]


def test_interpreted_finds_the_same_hidma_from_another_directory(tmp_path: Path) -> None:
    (tmp_path / "hidma.py").write_text("raise SystemExit('the wrong one')\n")
    command = [sys.executable, "-P", "-m", "hidma", "dmatest", "--iterations", "1", "--interpreted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")


def test_json(run: Any) -> None:
    code, out, err = run("dmatest", "--json", "--iterations", "5", "--seed", "3", "--channel", "dma2chan0",
                         "--transfer-size", "2048")
    assert (code, err) == (0, "")
    got = json.loads(out)
    assert got["board"] == "host" and got["seed"] == 3 and got["mode"] in ("compiled", "interpreted")
    assert got["passed"] is True and got["problems"] == []
    assert got["parameters"] == {"iterations": "5", "transfer_size": "2048"}
    (thread,) = got["threads"]
    assert {key: thread[key] for key in ("name", "channel", "device", "tests", "failures", "rc", "bytes", "done")} == {
        "name": "dma2chan0-copy0", "channel": "dma2chan0", "device": "hidma.2", "tests": 5, "failures": 0, "rc": 0,
        "bytes": 10240, "done": True}
    usecs = thread["virtual_ns"] // 1000
    assert thread["KBs"] == 10 * 1000000 // usecs
    assert abs(thread["iops"] - 5000000 / usecs) < 0.02
    assert got["ledger"] == {"dma2chan0": {"pending": 0, "completed": 5, "failed": 0, "terminated": 0}}
    assert any("dma2chan0-copy0: summary 5 tests, 0 failures" in line for line in got["dmesg"])


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "end", "driver", "hardware"), [
    ("burst:1", "failed", "DMA_COMPLETE", "failed: burst at 0x[0-9a-f]+ could not be read"),
    ("write-burst:1", "failed", "DMA_COMPLETE", "failed: burst at 0x[0-9a-f]+ could not be written"),
    ("tre-fetch:2", "failed", "DMA_COMPLETE", "failed: TRE at 0x[0-9a-f]+ could not be fetched"),
    ("evre-write:2", "failed", "DMA_COMPLETE", "failed: event at 0x[0-9a-f]+ could not be written"),
    ("evre:code=4,info=9:2", "failed", "DMA_COMPLETE", "completed: its event says code 4, info 9"),
    ("irq-lost:2", "completed", "DMA_IN_PROGRESS", "completed"),
])
def test_a_fault_is_caught(run: Any, fault: str, end: str, driver: str, hardware: str) -> None:
    code, out, err = run("dmatest", "--json", "--iterations", "4", "--max-channels", "1", "--fault", fault)
    assert code == 1
    assert re.match(r"hidma: 1 of 4 tests failed; the first: dma0chan0-copy0 test [12]: "
                    rf"the driver says {driver} and did not call back, the hardware {hardware}", err)
    got = json.loads(out)
    assert got["passed"] is False and got["faults"] == [fault]
    assert got["threads"][0]["failures"] == 1 and got["threads"][0]["tests"] == 4
    ledger = got["ledger"]["dma0chan0"]
    assert sum(ledger.values()) == 4 and ledger["pending"] == 0
    assert ledger[end] == (1 if end == "failed" else 4)  # the lost interrupt is made up for by the next one
    assert any("'test timed out'" in line for line in got["dmesg"])


def test_transfers_without_any_interrupt_end_terminated(run: Any) -> None:
    code, out, _ = run("dmatest", "--json", "--iterations", "3", "--max-channels", "1", "--fault", "irq-lost:*")
    assert code == 1
    ledger = json.loads(out)["ledger"]["dma0chan0"]
    assert ledger == {"pending": 0, "completed": 0, "failed": 0, "terminated": 3}


def test_several_faults(run: Any) -> None:
    code, _, err = run("dmatest", "--iterations", "5", "--fault", "burst:1@chan1", "--fault", "irq-lost:1@chan4")
    assert code == 1 and "2 of 30 tests failed" in err


def test_a_stuck_reset_leaves_no_channel(run: Any) -> None:
    code, out, err = run("dmatest", "--fault", "reset-stuck:trca")
    assert code == 1
    assert err == "hidma: none of the board's 6 channels came up: hidma hidma.0: transfer channel did not reset\n"
    assert out.count("transfer channel did not reset") == 6


def test_a_stuck_reset_of_one_channel_fails_the_run(run: Any) -> None:
    code, out, err = run("dmatest", "--iterations", "2", "--fault", "reset-stuck:trca@chan3")
    assert code == 1
    assert err == "hidma: 5 of the board's 6 channels came up: hidma hidma.3: transfer channel did not reset\n"
    assert out.count("summary 2 tests, 0 failures") == 5
    assert run("dmatest", "--iterations", "2", "--fault", "reset-stuck:trca@chan3", "--channel", "dma0chan0")[0] == 0


def test_a_reset_that_sticks_after_the_test_fails_the_run(run: Any) -> None:
    code, out, err = run("dmatest", "--iterations", "2", "--fault", "reset-stuck:evca:2@chan0")
    assert code == 1
    assert out.count("summary 2 tests, 0 failures") == 6
    assert re.fullmatch(r"hidma: the kernel log has \d errors?; the first: hidma hidma\.0: .*\n", err)


@pytest.mark.parametrize("fault", ["irq-late:2us", "irq-dup", "irq-spurious:4"])
def test_what_the_driver_copes_with_is_no_failure(run: Any, fault: str) -> None:
    code, out, err = run("dmatest", "--iterations", "5", "--fault", fault)
    assert (code, err) == (0, "")
    assert out.count("summary 5 tests, 0 failures") == 6


def test_a_thread_that_waits_for_ever_is_reported(run: Any) -> None:
    code, out, err = run("dmatest", "--iterations", "2", "--timeout", "-1", "--fault", "irq-lost:1@chan2")
    assert code == 1
    assert out.count("summary 2 tests, 0 failures") == 5
    assert err == "hidma: dma2chan0-copy0 waits for ever in test 1, whose time-out is infinite\n"


def test_a_buffer_too_small_is_reported(run: Any) -> None:
    code, out, err = run("dmatest", "--test-buf-size", "100", "--max-channels", "1")
    assert code == 1
    assert "dmatest: 100-byte buffer too small for 256-byte alignment\n" in out
    assert err.splitlines()[0] == "hidma: dma0chan0-copy0 ended with -12 (ENOMEM) after 0 tests"


def test_an_oops_shows_its_log_and_row(run: Any) -> None:
    # WRITE_PTR equal to the ring size: V14's handler never ends (row 37)
    code, out, err = run("dmatest", "--iterations", "2", "--fault", "write-ptr:1040")
    assert code == 1
    assert re.search(STAMP + "Internal error: Oops: ", out) and "hidma_handle_tre_completion" in out
    assert re.fullmatch(r"hidma: the kernel stopped: .* \(row 37 of docs/quirks\)\n", err)


@pytest.fixture
def childless(tmp_path: Path) -> str:
    """A board whose management node has no children: V14 frees a pointer that it never set (row 48)."""
    tree = firmware.load("host")
    for node in tree.root.children:
        if node.name.startswith("hidma-mgmt"):
            node.children.clear()
    path = tmp_path / "childless.dtb"
    path.write_bytes(firmware.dump(tree))
    return str(path)


@pytest.mark.parametrize("command", ["dmatest", "dmesg"])
def test_an_oops_at_boot_shows_its_log_and_row(run: Any, command: str, childless: str) -> None:
    code, out, err = run(command, "--board", childless)
    assert code == 1
    assert "Linux version" in out and "Internal error: Oops" in out and "hidma_mgmt_of_populate_channels" in out
    assert re.fullmatch(r"hidma: the kernel stopped: .* \(row 48 of docs/quirks\)\n", err)


def test_an_oops_at_boot_in_json(run: Any, childless: str) -> None:
    code, out, _ = run("dmatest", "--json", "--board", childless)
    got = json.loads(out)
    assert code == 1 and got["passed"] is False and "row 48" in got["problems"][0]
    assert any("Oops" in line for line in got["dmesg"])


def test_lines_that_come_over_and_over_are_counted(run: Any) -> None:
    options = ["--iterations", "4", "--max-channels", "1", "--polled", "--fault", "suspend-stuck:trca"]
    code, out, _ = run("dmatest", *options)
    assert code == 1
    assert re.search("channel did not pause\n" + STAMP + "last message repeated [0-9] times\n", out)


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nosuch"], "no such command 'nosuch'."),
    (["dmatest", "--nosuch"], "no such option '?--nosuch'?.?.*"),
    (["dmatest", "more"], r"got unexpected extra argument \(more\)"),
    (["dmatest", "--iterations", "x"], "invalid value for '--iterations': 'x' is no number."),
    (["dmatest", "--iterations", "1_0"], "invalid value for '--iterations': '1_0' is no number."),
    (["dmatest", "--iterations", "09"], "invalid value for '--iterations': '09' is no number."),
    (["dmatest", "--iterations", "-1"], "invalid value for '--iterations': -1 is not between 0 and 4294967295."),
    (["dmatest", "--iterations"], "option '--iterations' requires an argument."),
    (["dmatest", "--threads-per-chan", "0"], "invalid value for .*: 0 is not between 1 and 1000."),
    (["dmatest", "--test-buf-size", "0"], "invalid value for .*: 0 is not between 1 and 4194272."),
    (["dmatest", "--test-buf-size", "0x400000"], "invalid value for .*: 4194304 is not between 1 and 4194272."),
    (["dmatest", "--transfer-size", "16384"],
     r"--transfer-size 16384 must be less than the buffer of 16384 bytes \(--test-buf-size\)."),
    (["dmatest", "--alignment", "31"], "invalid value for '--alignment': 31 is not between -1 and 30."),
    (["dmatest", "--timeout", "-2"], "invalid value for '--timeout': -2 is not between -1 and 2147483647."),
    (["dmatest", "--dmatest", "1"],
     r"V14's driver has no memset \(row 19\), so --dmatest takes 0 only, which is memcpy."),
    (["dmatest", "--seed", "x"], "invalid value for '--seed': 'x' is not a valid integer."),
    (["dmatest", "--channel", "dma9chan0"],
     "there is no channel 'dma9chan0' on this board; there are dma0chan0, dma1chan0, .*, dma5chan0."),
    (["dmatest", "--channel", "dma0chan0", "--channel", "dma0chan0"], "--channel dma0chan0 is given twice."),
    (["dmatest", "--device", "hidma.6"],
     "there is no DMA device 'hidma.6' on this board; there are hidma.0, .*, hidma.5."),
    (["dmatest", "--device", "hidma.1", "--channel", "dma0chan0"], "dmatest gets no channel dma0chan0 of hidma.1 .*"),
    (["dmatest", "--fault", "brust:1"], "fault 'brust:1': there is no kind 'brust', did you mean burst; .*"),
    (["dmatest", "--fault", ""], "fault '': .*"),
    (["dmatest", "--fault", "burst@chan9"], "fault 'burst@chan9': there is no channel 9; .*"),
    (["dmatest", "--board", "hots"], "hots: no such file, and no bundled board has this name; bundled are host, .*"),
    (["dmesg", "--board", "/"], "/: this is no regular file; .*"),
    (["boards", "hots"], "hots: no such file, .*"),
])
def test_a_mistake_gets_one_sentence(run: Any, arguments: list[str], sentence: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(f"hidma: {sentence}\n", err)


@pytest.mark.parametrize(("data", "sentence"), [
    (b"", ".*: this is no firmware, it begins with nothing; .*"),
    (b"\xd0\x0d\xfe\xed", ".*"),
    (b"hello", ".*: this is no firmware, .*"),
])
def test_bad_firmware_gets_one_sentence(run: Any, tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "board.dtb"
    path.write_bytes(data)
    code, out, err = run("dmatest", "--board", str(path))
    assert (code, out) == (2, "")
    assert re.fullmatch(f"hidma: {sentence}\n", err)


def test_a_board_that_binds_no_driver_is_explained(run: Any) -> None:
    code, out, err = run("dmatest", "--board", "binding-example")
    assert code == 1
    assert err.startswith("hidma: none of the board's 1 channel came up: ")
    assert "dma-controller@5c050000" in err and "row 27" in err and err.count("\n") == 1


def test_a_reader_who_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run([sys.executable, "-m", "hidma", "dmesg"], stdout=gone, stderr=subprocess.PIPE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "hidma", "dmesg"], stdout=full, stderr=subprocess.PIPE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (2, b"hidma: standard output: No space left on device\n")


def test_ctrl_c_stops_with_one_line() -> None:
    # the kernel thread itself sends the signal, in the middle of its third test
    code = """if True:
        import os, signal, sys
        from hidma.commands import main as cli
        from hidma.linux import dmatest
        verify, count = dmatest.dmatest_verify, 0
        def spy(*arguments):
            global count
            count += 1
            if count == 12:
                os.kill(os.getpid(), signal.SIGINT)
            return verify(*arguments)
        dmatest.dmatest_verify = spy
        sys.exit(cli.main(["dmatest"]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "hidma: stopped\n")


@pytest.mark.parametrize("inherited", ["ignored", "blocked"])
def test_ctrl_c_on_a_terminal_comes_whatever_was_inherited(inherited: str) -> None:
    pid, fd = pty.fork()
    if pid == 0:
        if inherited == "ignored":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", "if True:\n"
                 "  import os, sys; from hidma.commands import main as cli; from hidma.linux import dmatest\n"
                 "  old = dmatest.dmatest_verify\n"
                 "  def spy(*a):\n    os.write(1, b'testing\\n')\n    return old(*a)\n"
                 "  dmatest.dmatest_verify = spy\n"
                 "  sys.argv = ['hidma', 'dmatest', '--iterations', '100000000', '--quiet']\n"
                 "  sys.exit(cli.main())\n"])
    seen = b""
    while b"testing" not in seen:
        seen += os.read(fd, 4096)
    os.write(fd, b"\x03")
    with suppress(OSError):  # EIO: the other side is closed
        while data := os.read(fd, 4096):
            seen = (seen + data)[-1000:]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert seen.endswith(b"hidma: stopped\r\n")


# --- the other commands -----------------------------------------------------------------------------------------------


def test_help_names_every_command(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name, lazy in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(lazy.help.split()[0])}", out, re.M)
    assert run() == (0, out, "")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(run: Any, name: str) -> None:
    code, out, err = run(name, "-h")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: hidma {name} [OPTIONS]")


def test_a_command_whose_module_is_missing_is_one_sentence(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "far", Lazy("hidma_far.away:command", "Far away."))
    assert run("far") == (2, "", "hidma: far needs the Python module hidma_far, which is not installed.\n")
    assert "Far away." in run("--help")[1]


def test_version(run: Any) -> None:
    import hidma as package

    assert run("--version") == (0, f"hidma {package.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["info"], ["faults"]])
def test_a_small_command_imports_no_machine(arguments: list[str]) -> None:
    code = ("import sys; from hidma.commands.main import main; main(sys.argv[1:]); "
            "print(*sorted({m for m in sys.modules if m.split('.')[0] in ('rich', 'greenlet', 'numpy') "
            "or m.startswith('hidma.linux') or m == 'hidma.machine.boot'}), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "\n")


def test_info(run: Any) -> None:
    code, out, _ = run("info")
    assert code == 0
    assert f"mode: {_mode.why()}\n" in out
    assert f"Python: {sys.version.split()[0]} " in out
    assert "boards: host, guest, binding-example, acpi, acpi-guest\n" in out
    assert re.search(r"^extension modules: \d+ of \d+$", out, re.M)
    got = json.loads(run("info", "--json")[1])
    assert got["compiled"] == _mode.compiled() and got["optional"]["numpy"] is True


def test_boards(run: Any) -> None:
    code, out, _ = run("boards")
    assert code == 0
    for name in firmware.BOARDS:
        assert re.search(rf"^{name}: ", out, re.M)
    assert "row 27" in out
    got = {row["name"]: row for row in json.loads(run("boards", "--json")[1])}
    assert len(got["host"]["channels"]) == 6 and got["guest"]["cpus"] == 1 and got["host"]["notes"] == []


def test_boards_describes_a_file(run: Any, childless: str) -> None:
    code, out, _ = run("boards", childless)
    assert code == 0 and out.startswith(f"{childless}: ") and "channels: none" in out


def test_faults_lists_every_kind(run: Any) -> None:
    from hidma.hw.faults import KINDS, parse

    code, out, _ = run("faults")
    assert code == 0
    for kind in KINDS:
        assert re.search(rf"^{kind.name} +{re.escape(kind.example)} ", out, re.M)
    for row in json.loads(run("faults", "--json")[1]):
        parse(row["example"])


def test_dmesg_prints_the_log_and_what_is_remarkable(run: Any) -> None:
    code, out, err = run("dmesg")
    assert (code, err) == (0, "")
    assert out.count("HI-DMA engine driver registration complete") == 6 and "note:" not in out
    code, out, err = run("dmesg", "--board", "binding-example")
    assert code == 0
    (note,) = [line for line in out.splitlines() if line.startswith("note: ")]
    assert "row 27" in note
    assert "registration complete" not in out
