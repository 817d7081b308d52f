# SPDX-License-Identifier: GPL-2.0-only
"""dmatest, the kernel module: its lines, its parameters and what it finds, seen through the kernel log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hidma
from hidma.linux import dmatest
from hidma.linux.errno import EBUSY, EINVAL, ENOENT, ENOSPC
from hidma.linux.module import load_module, unload_module
from hidma.machine.boot import Machine

SUMMARY = re.compile(r"dmatest: (dma\d+chan0-copy\d+): summary (\d+) tests, (\d+) failures (\d+)\.(\d\d) iops "
                     r"(\d+) KB/s \((-?\d+)\)\Z")
RESULT = re.compile(r"dmatest: (dma\d+chan0-copy\d+): result #(\d+): '([^']+)' with src_off=0x([0-9a-f]+) "
                    r"dst_off=0x([0-9a-f]+) len=0x([0-9a-f]+) \((-?\d+)\)\Z")


class Bench:
    """A machine with dmatest loaded."""

    def __init__(self, machine: Machine, params: dict[str, str]) -> None:
        self.machine = machine
        self.first = len(machine.kernel.log)
        with machine.running() as kernel:
            self.rc = load_module(kernel, dmatest.module, params)

    def call(self, function: Any, *arguments: Any) -> Any:
        with self.machine.running():
            return function(*arguments)

    def unload(self) -> int:
        with self.machine.running() as kernel:
            return unload_module(kernel, "dmatest")

    def run(self) -> list[str]:
        """Start, wait, and the module's lines."""
        self.call(dmatest.dmatest_run_set, "1")
        self.call(dmatest.dmatest_wait_get)
        return self.lines()

    def lines(self) -> list[str]:
        return [line.text for line in self.machine.kernel.log[self.first :] if line.text.startswith("dmatest: ")]

    def summaries(self) -> dict[str, tuple[int, int, int]]:
        """Tests, failures and result by thread."""
        found = [m for m in map(SUMMARY.match, self.lines()) if m]
        return {m[1]: (int(m[2]), int(m[3]), int(m[7])) for m in found}

    def results(self) -> list[tuple[str, int, int, int, int]]:
        """What, src_off, dst_off, len and the number in parentheses of each result line."""
        found = [m for m in map(RESULT.match, self.lines()) if m]
        return [(m[3], int(m[4], 16), int(m[5], 16), int(m[6], 16), int(m[7])) for m in found]

    def info(self) -> dmatest.DmatestInfo:
        info: dmatest.DmatestInfo = self.call(dmatest.test_info)
        return info


@contextmanager
def bench(board: str = "host", faults: str | None = None, seed: int = 0, **params: Any) -> Iterator[Bench]:
    with hidma.boot(board, faults=faults, seed=seed) as machine:
        yield Bench(machine, {name: str(value) for name, value in params.items()})


# --- a run ------------------------------------------------------------------------------------------------------------


def test_every_channel_gets_a_thread_and_a_summary() -> None:
    with bench(iterations=20) as b:
        lines = b.run()
        channels = [f"dma{n}chan0" for n in range(6)]
        assert lines[0] == "dmatest: No channels configured, continue with any"
        assert lines[1:7] == [f"dmatest: Added 1 threads using {name}" for name in channels]
        assert lines[7:13] == [f"dmatest: Started 1 threads using {name}" for name in channels]
        assert all(SUMMARY.match(line) for line in lines[13:])
        assert b.summaries() == {f"{name}-copy0": (20, 0, 0) for name in channels}


def test_the_numbers_of_the_summary_follow_from_virtual_time_and_bytes() -> None:
    with bench(iterations=7, max_channels=1, transfer_size=8192) as b:
        b.run()
        (thread,) = b.info().channels[0].threads
        (m,) = [m for m in map(SUMMARY.match, b.lines()) if m]
        usecs = thread.runtime // 1000
        assert usecs > 0
        assert int(m[6]) == 7 * 8 * 1000000 // usecs
        assert abs(float(f"{m[4]}.{m[5]}") - 7e6 / usecs) <= 0.01


def test_a_test_without_end_runs_until_it_is_stopped() -> None:
    with bench(max_channels=1) as b:
        b.call(dmatest.dmatest_run_set, "1")
        assert b.call(dmatest.dmatest_wait_get) == "Y\n"  # does not wait for what has no end
        b.machine.run(1_000_000)
        assert b.call(dmatest.dmatest_run_get) == "Y\n"
        assert b.summaries() == {}
        b.call(dmatest.dmatest_run_set, "0")
        tests, failures, rc = b.summaries()["dma0chan0-copy0"]
        assert tests > 100 and failures == 0 and rc == 0


def test_a_test_that_has_ended_gives_its_channels_and_memory_back() -> None:
    with bench(iterations=3) as b:
        used = dict(b.machine.kernel.dma_ops.pages.used)
        b.run()
        assert b.machine.kernel.dma_ops.pages.used == used
        with pytest.raises(OSError, match="in use"):
            b.machine.dma.request_channel()
        assert b.call(dmatest.dmatest_run_get) == "N\n"
        assert b.machine.dma.request_channel().name == "dma0chan0"


def test_a_second_run_takes_new_parameters() -> None:
    with bench(iterations=3, max_channels=1) as b:
        b.run()
        b.machine.kernel.module("dmatest").iterations = 5
        b.run()
        assert b.summaries() == {"dma0chan0-copy0": (5, 0, 0)}


def test_threads_that_were_never_started_end_without_a_word() -> None:
    with bench(iterations=3) as b:
        assert b.call(dmatest.dmatest_chan_set, "dma2chan0") == 0
        assert b.call(dmatest.dmatest_run_set, "0") == 0
        assert b.lines() == ["dmatest: Added 1 threads using dma2chan0"]
        assert b.machine.dma.request_channel("dma2chan0").name == "dma2chan0"


def test_run_and_wait_at_load_time_do_it_all() -> None:
    with bench(iterations=4, max_channels=1, wait=1, run=1) as b:
        assert b.rc == 0
        assert b.summaries()["dma0chan0-copy0"] == (4, 0, 0)
        assert "dmatest: No channels configured, continue with any" in b.lines()
        assert b.unload() == 0
        assert b.unload() == -ENOENT


def test_a_module_loaded_again_begins_anew() -> None:
    with bench(iterations=2) as b:
        b.call(dmatest.dmatest_chan_set, "dma1chan0")
        assert b.unload() == 0
        again = Bench(b.machine, {"iterations": "2"})
        again.call(dmatest.dmatest_chan_set, "dma3chan0")
        again.run()
        assert set(again.summaries()) == {"dma3chan0-copy0"}


def test_a_guest_with_one_cpu_runs_several_threads() -> None:
    with bench("guest", iterations=10, threads_per_chan=3) as b:
        b.run()
        assert b.summaries() == {f"dma0chan0-copy{n}": (10, 0, 0) for n in range(3)}


def test_the_name_in_a_line_has_15_characters() -> None:
    with bench(iterations=1, threads_per_chan=11, max_channels=1) as b:
        lines = b.run()
        assert b.info().channels[0].threads[10].task.name == "dma0chan0-copy10"
        assert sum(" dma0chan0-copy1: summary" in line for line in lines) == 2


def test_the_seed_decides_lengths_and_offsets() -> None:
    def offsets(seed: int) -> list[tuple[str, int, int, int, int]]:
        with bench(seed=seed, iterations=10, max_channels=1, verbose=1) as b:
            b.run()
            return b.results()

    assert offsets(3) == offsets(3)
    assert offsets(3) != offsets(4)


# --- parameters -------------------------------------------------------------------------------------------------------


def test_parameters_have_the_defaults_of_linux_6_1() -> None:
    with bench() as b:
        state = b.machine.kernel.module("dmatest")
        assert {p.name: (p.type, getattr(state, p.name), p.perm) for p in dmatest.module.params} == {
            "test_buf_size": ("uint", 16384, 0o644),
            "device": ("string", "", 0o644),
            "threads_per_chan": ("uint", 1, 0o644),
            "max_channels": ("uint", 0, 0o644),
            "iterations": ("uint", 0, 0o644),
            "dmatest": ("uint", 0, 0o644),
            "xor_sources": ("uint", 3, 0o644),
            "pq_sources": ("uint", 3, 0o644),
            "timeout": ("int", 3000, 0o644),
            "noverify": ("bool", False, 0o644),
            "norandom": ("bool", False, 0o644),
            "verbose": ("bool", False, 0o644),
            "alignment": ("int", -1, 0o644),
            "transfer_size": ("uint", 0, 0o644),
            "polled": ("bool", False, 0o644),
            "run": ("bool", False, 0o644),
            "channel": ("string", "", 0o644),
            "test_list": ("string", "", 0o444),
            "wait": ("bool", False, 0o444),
        }


def test_lengths_and_offsets_are_multiples_of_256_because_v14_says_8() -> None:
    with bench(iterations=40, max_channels=1, verbose=1) as b:
        b.run()
        results = b.results()
        assert len(results) == 40
        assert all(n % 256 == 0 for _, src, dst, size, _ in results for n in (src, dst, size))
        assert all(src + size <= 16384 and dst + size <= 16384 and size for _, src, dst, size, _ in results)
        assert len({size for _, _, _, size, _ in results}) > 10


@pytest.mark.parametrize(("alignment", "multiple"), [(0, 1), (4, 16), (10, 1024)])
def test_alignment_is_an_exponent(alignment: int, multiple: int) -> None:
    with bench(iterations=40, max_channels=1, verbose=1, alignment=alignment) as b:
        b.run()
        assert b.summaries()["dma0chan0-copy0"] == (40, 0, 0)
        numbers = [n for _, src, dst, size, _ in b.results() for n in (src, dst, size)]
        assert all(n % multiple == 0 for n in numbers)
        assert any(n % (2 * multiple) for n in numbers)


def test_transfer_size_is_taken_as_it_is() -> None:
    with bench(iterations=5, max_channels=1, verbose=1, transfer_size=1001) as b:
        b.run()
        assert [size for _, _, _, size, _ in b.results()] == [1001] * 5


def test_a_transfer_that_fills_the_buffer_is_refused_as_6_1_does() -> None:
    with bench(iterations=5, max_channels=1, transfer_size=512, test_buf_size=512) as b:
        lines = b.run()
        assert lines[-2:] == ["dmatest: 512-byte transfer size must be lower than 512-buffer size",
                              "dmatest: dma0chan0-copy0: summary 1 tests, 0 failures 0.00 iops 0 KB/s (0)"]


def test_a_buffer_smaller_than_the_alignment_is_refused() -> None:
    with bench(iterations=5, max_channels=1, test_buf_size=255) as b:
        lines = b.run()
        assert lines[-2:] == ["dmatest: 255-byte buffer too small for 256-byte alignment",
                              "dmatest: dma0chan0-copy0: summary 0 tests, 0 failures 0.00 iops 0 KB/s (-12)"]


def test_a_buffer_that_kmalloc_does_not_give_ends_the_thread() -> None:
    with bench(iterations=5, max_channels=1, test_buf_size=1 << 22) as b:
        assert b.run()[-1] == "dmatest: dma0chan0-copy0: summary 0 tests, 0 failures 0.00 iops 0 KB/s (-12)"


def test_norandom_copies_whole_buffers() -> None:
    with bench(iterations=3, max_channels=1, verbose=1, norandom=1, test_buf_size=5120) as b:
        b.run()
        assert b.results() == [("test passed", 0, 0, 5120, 0)] * 3


def test_passed_tests_are_not_mentioned_unless_verbose() -> None:
    with bench(iterations=3, max_channels=1) as b:
        b.run()
        assert b.results() == []


def test_threads_per_chan_and_max_channels() -> None:
    with bench(iterations=4, threads_per_chan=2, max_channels=3) as b:
        lines = b.run()
        assert "dmatest: Started 2 threads using dma2chan0" in lines
        assert set(b.summaries()) == {f"dma{c}chan0-copy{t}" for c in range(3) for t in range(2)}


def test_device_selects_channels() -> None:
    with bench(iterations=2, device="hidma.4") as b:
        b.run()
        assert set(b.summaries()) == {"dma4chan0-copy0"}


def test_channels_are_added_one_by_one() -> None:
    with bench(iterations=2) as b:
        assert b.call(dmatest.dmatest_chan_set, "dma5chan0\n") == 0
        assert b.call(dmatest.dmatest_chan_set, "dma1chan0") == 0
        b.call(dmatest.dmatest_test_list_get)
        assert b.lines()[-2:] == ["dmatest: 1 threads using dma5chan0", "dmatest: 1 threads using dma1chan0"]
        b.run()
        assert set(b.summaries()) == {"dma5chan0-copy0", "dma1chan0-copy0"}
        assert "dmatest: No channels configured, continue with any" not in b.lines()
        assert b.call(dmatest.dmatest_chan_get) == "\n"


def test_files_of_the_parameters_do_what_the_get_functions_of_c_do() -> None:
    with bench() as b:
        files, at = b.machine.sysfs, "/sys/module/dmatest/parameters"
        files[f"{at}/iterations"] = "20\n"
        files[f"{at}/channel"] = "dma0chan0\n"
        assert files[f"{at}/channel"] == "dma0chan0\n"
        assert files[f"{at}/test_list"] == ""
        assert b.lines()[-1] == "dmatest: 1 threads using dma0chan0"
        assert files["/sys/class/dma/dma0chan0/in_use"] == "1\n"
        files[f"{at}/run"] = "1\n"
        assert files[f"{at}/run"] == "Y\n"
        assert b.summaries() == {}
        assert files[f"{at}/wait"] == "Y\n"  # it has waited
        assert b.summaries() == {"dma0chan0-copy0": (20, 0, 0)}
        assert files["/sys/class/dma/dma0chan0/in_use"] == "1\n"
        assert files[f"{at}/run"] == "N\n"  # and it gives the channel back
        assert files["/sys/class/dma/dma0chan0/in_use"] == "0\n"
        assert files[f"{at}/channel"] == "\n"


def test_a_channel_that_is_not_there_is_refused() -> None:
    with bench(iterations=2) as b:
        assert b.call(dmatest.dmatest_chan_set, "dma9chan0") == -EBUSY
        assert b.machine.kernel.module("dmatest").channel == ""
        assert b.call(dmatest.dmatest_run_set, "1") == -EBUSY
        assert b.lines() == ["dmatest: Channel misconfigured, can't continue"]
        assert b.call(dmatest.dmatest_chan_set, "dma1chan0") == 0
        assert b.call(dmatest.dmatest_chan_set, "dma9chan0") == -EINVAL
        assert b.machine.kernel.module("dmatest").channel == "dma1chan0"
        assert b.call(dmatest.dmatest_chan_set, "dma1chan0") == -EBUSY
        assert b.call(dmatest.dmatest_chan_set, "c" * 20) == -ENOSPC
        assert b.lines()[-1] == "dmatest: channel: string doesn't fit in 19 chars."


@pytest.mark.parametrize(("name", "text", "rc"), [
    ("test_list", "1", EINVAL), ("run", "maybe", EINVAL), ("device", "d" * 32, ENOSPC), ("timeout", "soon", EINVAL),
    ("iterations", "-1", EINVAL), ("channel", "dma9chan0", EBUSY),
])
def test_a_wrong_parameter_at_load_time_refuses_the_module(name: str, text: str, rc: int) -> None:
    with bench(**{name: text}) as b:
        assert b.rc == -rc
        assert f" for parameter `{name}'" in b.machine.kernel.log[-1].text
        assert b.unload() == -ENOENT


def test_only_memcpy_is_there() -> None:
    with bench(iterations=2, max_channels=1, dmatest=1) as b:
        lines = b.run()
        assert lines[1:] == ["dmatest: Added 0 threads using dma0chan0", "dmatest: Started 0 threads using dma0chan0"]


# --- what it finds ----------------------------------------------------------------------------------------------------


class Spoiler:
    """Changes bytes of RAM between the transfer and the comparison."""

    def __init__(self, machine: Machine, changes: dict[int, tuple[str, int, int]]) -> None:
        self.machine = machine
        self.changes = changes  # by test: "src" or "dst", offset in the buffer, what to xor with
        self.buffers: dict[str, int] = {}

    def submitted(self, thread: Any, tx: Any, cookie: int, dest: int, src: int, length: int) -> None:
        self.buffers = {"src": src - thread.src.off, "dst": dest - thread.dst.off}

    def tested(self, thread: Any) -> None:
        change = self.changes.get(thread.total_tests)
        if change is not None:
            which, offset, bits = change
            self.machine.memory.slice(self.buffers[which] + offset, 1)[0] ^= bits


def test_every_byte_of_both_buffers_is_compared() -> None:
    # norandom: offset 0 and 4096 of 4096 bytes; with transfer_size the first 1024 bytes are copied
    changes = {1: ("src", 5, 0x01), 2: ("src", 4095, 0x80), 3: ("dst", 0, 0xE0), 4: ("dst", 1023, 0x02),
               5: ("dst", 1024, 0x80), 6: ("dst", 4095, 0x04)}
    with bench(iterations=7, max_channels=1, norandom=1, transfer_size=1024, test_buf_size=4096) as b:
        b.info().observer = Spoiler(b.machine, changes)
        lines = [line.removeprefix("dmatest: dma0chan0-copy0: ") for line in b.run()]
        errors = [line for line in lines if "buf[" in line]
        # source: 0x80, with 0x40 where it is copied; destination: what the source has there, or the counter alone
        assert errors == [
            "srcbuf[0x5] overwritten! Expected da, got db",
            "srcbuf[0xfff] overwritten! Expected 80, got 00",
            "dstbuf[0x0] not copied! Expected df, got 3f",
            "dstbuf[0x3ff] mismatch! Expected c0, got c2",
            "dstbuf[0x400] was copied! Expected 1f, got 9f",
            "dstbuf[0xfff] mismatch! Expected 00, got 04",
        ]
        assert b.results() == [("data error", 0, 0, 1024, 1)] * 6
        assert b.summaries()["dma0chan0-copy0"] == (7, 6, 0)


def test_after_32_wrong_bytes_the_rest_is_counted_only() -> None:
    # V14 reports a failed transfer as complete (row 18): a polling client believes it, and finds nothing copied
    with bench(faults="read-burst:1", iterations=1, max_channels=1, polled=1, norandom=1, transfer_size=1000) as b:
        lines = b.run()
        wrong = [line for line in lines if "not copied!" in line]
        assert len(wrong) == 32
        assert wrong[0] == "dmatest: dma0chan0-copy0: dstbuf[0x0] not copied! Expected df, got 3f"
        assert "dmatest: dma0chan0-copy0: 968 errors suppressed" in lines
        assert b.results() == [("data error", 0, 0, 1000, 1000)]
        assert b.summaries()["dma0chan0-copy0"] == (1, 1, 0)


def test_noverify_does_not_look_at_the_data() -> None:
    with bench(faults="read-burst:1", iterations=2, max_channels=1, polled=1, noverify=1, verbose=1) as b:
        b.run()
        assert [what for what, *_ in b.results()] == ["test passed"] * 2
        assert b.summaries()["dma0chan0-copy0"] == (2, 0, 0)


@pytest.mark.parametrize("faults", ["burst:1", "tre-fetch:1", "evre-write:1", "irq-lost:1", "evre:code=4,info=9:1"])
def test_what_the_driver_never_calls_back_for_times_out(faults: str) -> None:
    with bench(faults=faults, iterations=5, max_channels=1) as b:
        start = b.machine.now
        b.run()
        assert [what for what, *_ in b.results()] == ["test timed out"]
        assert b.summaries()["dma0chan0-copy0"] == (5, 1, 0)
        assert 3_000_000_000 <= b.machine.now - start < 3_100_000_000


def test_timeout_is_in_virtual_milliseconds() -> None:
    with bench(faults="irq-lost:1", iterations=1, max_channels=1, timeout=70) as b:
        start = b.machine.now
        b.run()
        assert b.summaries()["dma0chan0-copy0"] == (1, 1, 0)
        assert 70_000_000 <= b.machine.now - start < 100_000_000


def test_an_infinite_timeout_waits_for_ever() -> None:
    with bench(faults="irq-lost:1", iterations=2, max_channels=2, timeout=-1) as b:
        b.run()  # the machine has come to rest
        assert b.summaries() == {"dma1chan0-copy0": (2, 0, 0)}
        assert dmatest.is_threaded_test_run(b.info())


def test_lost_descriptors_show_as_prep_errors() -> None:
    with bench(faults="irq-lost:*", iterations=70, max_channels=1, timeout=1) as b:
        b.run()
        whats = [what for what, *_ in b.results()]
        assert whats[:10] == ["test timed out"] * 10
        assert whats[-1] == "prep error"


def test_polling_works() -> None:
    with bench(iterations=10, polled=1) as b:
        b.run()
        assert b.summaries() == {f"dma{n}chan0-copy0": (10, 0, 0) for n in range(6)}


# --- arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("usecs", "tests", "text"), [
    (648, 100, "154320.98"),
    (3000000, 1, "0.33"),
    (0, 100, "0.00"),
    (-1, 100, "0.00"),
    (3, 1, "333333.33"),
])
def test_iops(usecs: int, tests: int, text: str) -> None:
    iops = dmatest.dmatest_persec(usecs, tests)
    assert f"{dmatest.FIXPT_TO_INT(iops)}.{dmatest.FIXPT_GET_FRAC(iops):02d}" == text


@given(usecs=st.integers(1, (1 << 32) - 1), count=st.integers(0, 1 << 24))
def test_per_second_is_cut_to_8_binary_places(usecs: int, count: int) -> None:
    exact = Fraction(count * 1000000, usecs)
    assert exact - Fraction(1, 256) < Fraction(dmatest.dmatest_persec(usecs, count), 256) <= exact


def test_a_run_of_more_than_32_bits_of_microseconds_counts_fourfold_as_in_6_1() -> None:
    # C halves the run time and doubles the factor, where it ought to halve both
    assert dmatest.dmatest_persec(1 << 32, 1 << 20) == 4 * dmatest.dmatest_persec(1 << 31, 1 << 20) // 2


@given(start=st.integers(0, 300), count=st.integers(0, 300))
def test_patterns_count_down_from_31(start: int, count: int) -> None:
    assert dmatest.pattern_bytes(dmatest.gen_src_value, dmatest.PATTERN_COPY, start, count) == bytes(
        0xC0 | (31 - i % 32) for i in range(start, start + count))
    assert dmatest.pattern_bytes(dmatest.gen_dst_value, 0, start, count) == bytes(
        31 - i % 32 for i in range(start, start + count))
