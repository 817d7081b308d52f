# SPDX-License-Identifier: GPL-2.0-only
"""What the clients of a machine ask for: the programs of kmod, dmesg, dmatest, and time. They stand for no C file."""

from __future__ import annotations

import getopt
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hidma.commands.shell import client, kmod
from hidma.commands.shell.kmod import RELEASE, Usage
from hidma.linux import dmatest as dmatest_module
from hidma.linux.errno import strerror
from hidma.linux.kmsg import syslog, syslog_line
from hidma.linux.module import load_module, modules, unload_module
from hidma.linux.printk import LogLine
from hidma.linux.sched import schedule_timeout

if TYPE_CHECKING:
    from hidma.commands.mount.server import Output, Program, Server

UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
         "d": 86_400_000_000_000}
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news")
ITERATIONS = "100"
POLL = 1_000_000
FOLLOW = 0.2  # seconds between two looks whether who follows the log is still there


def span(text: str, default: str) -> int | None:
    """Nanoseconds of ``5ms``, ``1.5``; None when it is no time."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)?", text)
    if match is None or not (match[2] or default):
        return None
    return round(float(match[1]) * UNITS[(match[2] or default).replace("µ", "u")])


def pass_time(server: Server, ns: int) -> int:
    server.call(server.machine.run, ns)
    return 0


def sleep(server: Server, words: list[str], output: Output) -> int:
    """``sleep NUMBER[smhd]...``"""
    if len(words) < 2:
        raise Usage("missing operand")
    total = 0
    for text in words[1:]:
        ns = span(text, "s")
        if ns is None:
            raise Usage(f"invalid time interval '{text}'")
        total += ns
    return pass_time(server, total)


def run(server: Server, words: list[str], output: Output) -> int:
    """``run 5ms``"""
    ns = span(words[1], "") if len(words) == 2 else None
    if ns is None:
        raise Usage("how long? For example: run 5ms (ns, us, ms, s, m, h, d)")
    return pass_time(server, ns)


def date(server: Server, words: list[str], output: Output) -> int:
    """``date``: this computer's, on the machine's clock, which began at power-on. It is read only."""
    given = any(re.match(r"-\w*[dfrs]|--(date|file|reference|set)", word) for word in words[1:])
    if not given and any(not word.startswith(("+", "-")) for word in words[1:]):
        raise Usage("cannot set date: the machine's clock began at power-on")
    if any(re.match(r"-\w*s|--set", word) for word in words[1:]):
        raise Usage("cannot set date: the machine's clock began at power-on")
    seconds, ns = divmod(server.machine.now, 1_000_000_000)
    output.execute(words if given else ["date", "-u", "-d", f"@{seconds}.{ns:09d}", *words[1:]])
    return 0


def uname(server: Server, words: list[str], output: Output) -> int:
    """``uname [-asnrvmpio]``"""
    flags, _ = kmod.options(words, "asnrvmpio", ("all",))
    facts = {"-s": "Linux", "-n": "hidma", "-r": RELEASE, "-v": "#1 SMP", "-m": "aarch64", "-p": "unknown", "-i": "unknown",
             "-o": "GNU/Linux"}
    everything = bool({"-a", "--all"} & flags)
    chosen = [text for key, text in facts.items() if key in flags or everything and text != "unknown"]
    output.print(" ".join(chosen) or "Linux")
    return 0


# --- dmesg --------------------------------------------------------------------------------------------------------------


class Dmesg:
    """One call of dmesg, with the options of util-linux."""

    SHORT = "cCDEn:trxl:f:kuTwWSPL"
    LONG = ("read-clear", "clear", "console-off", "console-on", "console-level=", "notime", "raw", "decode", "level=",
            "facility=", "kernel", "userspace", "ctime", "follow", "follow-new", "syslog", "nopager", "color=")

    def __init__(self, server: Server, words: list[str], output: Output) -> None:
        try:
            found, rest = getopt.gnu_getopt(words[1:], self.SHORT, list(self.LONG))
        except getopt.GetoptError as error:
            raise Usage(error.msg[:1].lower() + error.msg[1:]) from None
        if rest:
            raise Usage(f"unexpected argument {rest[0]!r}")
        self.server = server
        self.output = output
        self.given = dict(found)
        self.levels = self.names(("-l", "--level"), LEVELS, "level")
        self.facilities = self.names(("-f", "--facility"), FACILITIES, "facility")
        if self.has("-k", "--kernel"):
            self.facilities &= {0}
        if self.has("-u", "--userspace"):
            self.facilities -= {0}

    def has(self, *options: str) -> bool:
        return any(option in self.given for option in options)

    def value(self, *options: str) -> str | None:
        return next((self.given[option] for option in options if option in self.given), None)

    def names(self, options: tuple[str, ...], known: tuple[str, ...], what: str) -> set[int]:
        """The numbers of the names that an option lists; all without it."""
        text = self.value(*options)
        wanted = known if text is None else text.split(",")
        for name in wanted:
            if name not in known:
                raise Usage(f"unknown {what} '{name}'")
        return {known.index(name) for name in wanted}

    def line(self, line: LogLine) -> str:
        if self.has("-r", "--raw"):
            return syslog_line(line).decode("latin-1").removesuffix("\n")
        text = line.text if self.has("-t", "--notime") else str(line)
        if self.has("-T", "--ctime"):
            text = f"[{time.strftime('%a %b %e %H:%M:%S %Y', time.gmtime(line.time // 1_000_000_000))}] {line.text}"
        if self.has("-x", "--decode"):
            facility = FACILITIES[line.facility] if line.facility < len(FACILITIES) else str(line.facility)
            text = f"{facility:<6}:{LEVELS[line.level]:<6}: {text}"
        return text

    def show(self, first: int) -> int:
        """Print the messages from ``first`` on; the number of the next one."""
        log = self.server.machine.kernel.log
        for line in log[first:]:
            if line.level in self.levels and line.facility in self.facilities:
                self.output.print(self.line(line))
        return len(log)

    def run(self) -> int | Callable[[Callable[[], bool]], int]:
        """Print, clear, or set the level of the console."""
        kernel = self.server.machine.kernel
        state = syslog(kernel)
        level = self.value("-n", "--console-level")
        if level is not None:
            number = int(level) if level.isdigit() else LEVELS.index(level) + 1 if level in LEVELS else 0
            if not 1 <= number <= 8:
                raise Usage(f"unknown level '{level}'")
            state.console_printk[0] = number
        if self.has("-D", "--console-off", "-E", "--console-on"):
            state.console_printk[0] = 1 if self.has("-D", "--console-off") else 7
        if level is not None or self.has("-D", "--console-off", "-E", "--console-on"):
            return 0
        end = len(kernel.log)
        if not self.has("-C", "--clear", "-W", "--follow-new"):
            self.show(state.clear_seq)
        if self.has("-C", "--clear", "-c", "--read-clear"):
            state.clear_seq = end
        if self.has("-w", "--follow", "-W", "--follow-new"):
            return lambda gone: self.follow(end, gone)
        return 0

    def follow(self, first: int, gone: Callable[[], bool]) -> int:
        """Print new messages until the client has gone."""
        while not gone() and not self.server.closed:
            first = self.server.submit(self.show, first)
            self.server.wait_for_message(FOLLOW)
        return 0


def dmesg(server: Server, words: list[str], output: Output) -> int | Callable[[Callable[[], bool]], int]:
    return Dmesg(server, words, output).run()


# --- dmatest ------------------------------------------------------------------------------------------------------------


def dmatest(server: Server, words: list[str], output: Output) -> int:
    """``dmatest [PARAMETER=VALUE]...``: load the module, test, show its lines, unload it."""
    kernel = server.machine.kernel
    parameters: dict[str, str | None] = {"iterations": ITERATIONS}
    for word in words[1:]:
        key, value = kmod.parameter(word)
        if key not in {p.name for p in dmatest_module.module.params}:
            raise Usage(f"no such parameter: {key}; modinfo dmatest shows them")
        parameters[key] = value if value is not None else "Y"
    if any(module.name == "dmatest" for module in modules(kernel)):
        raise Usage("the module is loaded already; rmmod dmatest first")
    channels = parameters.pop("channel", None) or ""
    for key in ("run", "wait"):
        parameters.pop(key, None)
    shown = len(kernel.log)
    failed = False

    def show() -> None:
        nonlocal shown
        for line in kernel.log[shown:]:
            output.print(str(line))
        shown = len(kernel.log)

    def test() -> int:
        nonlocal failed
        rc = load_module(kernel, dmatest_module.module, parameters)
        if rc:
            return rc
        info = dmatest_module.test_info()
        for name in channels.split(","):
            rc = rc or dmatest_module.dmatest_chan_set(name)
        threads = [thread for dtc in info.channels for thread in dtc.threads]
        rc = rc or dmatest_module.dmatest_run_set("1")
        while rc == 0 and dmatest_module.is_threaded_test_run(info) and not server.machine.interrupted():
            schedule_timeout(POLL)
            show()
        failed = any(thread.failed_tests or thread.ret for thread in threads)
        unload_module(kernel, "dmatest")
        return rc

    rc = kmod.attempt(server, test)
    show()
    if rc:
        raise Usage(f"could not be started: {strerror(rc)}")
    return int(failed)


# --- all of them --------------------------------------------------------------------------------------------------------

PROGRAMS: dict[str, tuple[Program, str]] = {
    "modprobe": (kmod.modprobe, "load a module: modprobe hdma nr_desc_prm=32; unload it: modprobe -r hdma"),
    "rmmod": (kmod.rmmod, "unload a module"),
    "insmod": (kmod.insmod, "load a module by its file's name, without what it needs"),
    "lsmod": (kmod.lsmod, "the loaded modules"),
    "modinfo": (kmod.modinfo, "what a module says of itself"),
    "dmesg": (dmesg, "the kernel log (-c -C -n -t -T -r -x -k -u -w, -l LEVELS, -f FACILITIES)"),
    "dmatest": (dmatest, "run the kernel's DMA test: dmatest iterations=5 channel=dma0chan0"),
    "sleep": (sleep, "let virtual seconds pass"),
    "run": (run, "let virtual time pass: run 5ms"),
    "date": (date, "the clock of the machine, which began at power-on"),
    "uname": (uname, "name of the machine's system"),
}


def find_program(words: list[str]) -> Program:
    """The program that ``words`` ask for; its mistakes in use are a message and a status."""
    if words[0] not in PROGRAMS:
        def unknown(server: Server, words: list[str], output: Output) -> int:
            output.error(f"hidma: the machine has no program {words[0]!r}; there are {', '.join(sorted(PROGRAMS))}")
            return 127

        return unknown
    program = PROGRAMS[words[0]][0]

    def checked(server: Server, words: list[str], output: Output) -> int | Callable[[Callable[[], bool]], int]:
        try:
            return program(server, words, output)
        except Usage as error:
            output.error(f"{words[0]}: {error}")
            return 1

    return checked


def client_directory(private: Path) -> Path:
    """Make the directory of the clients below a private one: a program of each name."""
    directory = private / "bin"
    directory.mkdir()
    text = Path(client.__file__).read_text(encoding="utf-8").split("\n", 1)[1]
    # the first line of a script is short and without blanks, and a path of Python may be neither
    head = f"#!/bin/sh\n'''exec' '{sys.executable}' -IS \"$0\" \"$@\"\n' '''\n"
    script = directory / "modprobe"
    script.write_text(head + text, encoding="utf-8")
    script.chmod(0o700)
    for name in PROGRAMS:
        if name != script.name:
            os.link(script, directory / name)
    return directory
