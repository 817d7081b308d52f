# SPDX-License-Identifier: GPL-2.0-only
"""``hidma qemu``: fetch, raid, probe, compare, run, shell."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import click

from hidma.commands.output import Scratch, write_file
from hidma.commands.qemu import packages
from hidma.commands.qemu.build import check_tools
from hidma.commands.qemu.build import kit as build_kit
from hidma.commands.qemu.errors import QemuError
from hidma.commands.qemu.initrd import ACPI, DEVICE_TREE, Plan, choose_firmware
from hidma.commands.qemu.session import Options, Session, interrupts_per_batch
from hidma.hw.engine import Timing
from hidma.hw.faults import parse
from hidma.hw.registers import MAX_CHANNELS

FAILED = 1
UNUSABLE = 2
FOR_ITSELF = 125
"""Exit status of ``run`` when no command has given one, as that of env or timeout."""
LEAVE = 0x1D
"""Ctrl-], which leaves the guest's console."""
MAX_MIB = 1024
MAX_CPUS = 8
COMPARED = 5
COMPARED_BYTES = 16384
COMPARE_DMATEST = (f"iterations={COMPARED}", "run=1", "norandom=1", "timeout=2000", f"test_buf_size={COMPARED_BYTES}")
TOLD_CLIENT = re.compile(r"dmatest: .*(result #|summary)")

OPTIONS = ("channels", "cpus", "memory", "desc_count", "nested", "firmware", "share", "gdb", "monitor", "append", "qemu", "timeout",
           "stall")
"""Those that the session takes as they are."""

Decorator = Callable[[Any], Any]


def say(sentence: str) -> None:
    """A line on stderr on what takes time."""
    click.echo(f"hidma: {sentence}", err=True)


def complain(error: QemuError) -> int:
    """The last lines of the console and the sentence, on stderr; the exit status."""
    sys.stdout.flush()
    if error.console:
        click.echo("--- the last lines of the guest's console ---", err=True)
        for line in error.console:
            click.echo(line, err=True)
        click.echo("---", err=True)
    say(" ".join(error.sentence.split()))
    return UNUSABLE


class TerminatedError(BaseException):
    """SIGTERM or SIGHUP came."""


@contextmanager
def ending_well() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind what is going on, as Ctrl-C does."""

    def come(number: int, frame: FrameType | None) -> None:
        raise TerminatedError(number)

    before = {number: signal.signal(number, come) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except TerminatedError as end:
        say("stopped")
        sys.exit(128 + int(end.args[0]))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def option_set(given: dict[str, Any], **more: Any) -> Options:
    """The options as the session takes them.

    :param more: those that no option of the command line says
    :raises click.UsageError: a fault that is written wrong
    """
    faults = None
    try:
        if given["fault"]:
            faults = parse(";".join(text or " " for text in given["fault"]))
            for rule in faults.rules:
                if rule.channel >= given["channels"]:
                    raise ValueError(f"fault '{rule.text}': there is no channel {rule.channel}; give --channels")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    timing = Timing(bytes_per_ns=given["bandwidth"] / 1000) if given["bandwidth"] else None
    named = {key: given[key] for key in OPTIONS if key in given}
    if given["gdb"]:
        named |= {"timeout": None, "stall": None}  # a guest that stands at a breakpoint gives no sign
    return Options(**named | {"timing": timing, "faults": faults, "say": say} | more)


def plan_of(mode: str, given: dict[str, Any], mib: int = 0, script: bytes = b"", arguments: Sequence[str] = ()) -> Plan:
    """What the guest is to do."""
    drivers = [Path(name) for name in (given["driver"] or "").split(",") if name]
    client, *parameters = (given["client"] or "").split(",")
    return Plan(mode, mib, min(given["channels"], given["cpus"]), drivers, Path(client) if client else None, parameters,
                script, arguments, given["share"] is not None)


def trace_file(name: str | None) -> Any:
    """The file of --trace, open for writing.

    :raises QemuError: when it cannot be
    """
    if name is None:
        return nullcontext()
    try:
        return open(name, "w", encoding="utf-8", buffering=1 << 16)
    except OSError as error:
        raise QemuError(f"{name}: {error.strerror}; --trace takes a file that can be written") from None


def parts_of(given: dict[str, Any]) -> packages.Parts:
    return packages.find(given["kernel"], given["modules"], given["busybox"], say, given["suite"], given["efi"])


def to_stdout(data: bytes) -> None:
    """The guest's console on ours."""
    sys.stdout.buffer.write(data.replace(b"\r\n", b"\n"))
    sys.stdout.buffer.flush()


@contextmanager
def guest(plan: Plan, given: dict[str, Any], show: Callable[[bytes], None] | None = None, **more: Any) -> Iterator[Session]:
    """A guest of the command line, booted."""
    options = option_set(given, **more)
    with trace_file(given["trace"]) as options.trace, Session(plan, parts_of(given), options, show) as session:
        yield session


def show_json(found: Any) -> None:
    click.echo(json.dumps(found, indent=2))


def show_lines(lines: Iterable[str], err: bool = False) -> None:
    click.echo("".join(f"{line}\n" for line in lines), nl=False, err=err)


def verdict(problems: Sequence[str]) -> int:
    """What is not as it should be, on stderr; the exit status."""
    for sentence in problems:
        say(sentence)
    return FAILED if problems else 0


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fetch", "bring", is_flag=True, help="Fetch what the guest is made of (Debian packages, through apt).")
@click.option("--suite", metavar="NAME", help="Debian suite to fetch from: bookworm, trixie, sid  [default: this machine's]")
@click.option("--build", is_flag=True, help="Fetch the kernel's headers and the source of its drivers too.")
@click.pass_context
def qemu(ctx: click.Context, bring: bool, suite: str | None, build: bool) -> int:
    """Boot a real Linux in QEMU, with its own HIDMA driver on the model of the hardware.

    The guest's kernel, modules and busybox are fetched from Debian on the first start and kept in the cache of the user
    ($XDG_CACHE_HOME/hidma/qemu). Where there is no apt: --kernel, --modules, --busybox.
    """
    if bring or build:
        try:
            with ending_well():
                parts = packages.cached(suite) if build else None
                parts = parts or packages.fetch(say, suite)
                kit = build_kit(packages.kernel_version(parts.kernel)[1], suite, say) if build else None
        except QemuError as error:
            ctx.exit(complain(error))
        click.echo(f"kernel: {parts.kernel}\nmodules: {parts.modules}\nbusybox: {parts.busybox}\nefi: {parts.efi}")
        if kit is not None:
            click.echo(f"headers: {kit.headers}\nsource: {kit.source}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


GUEST = (
    click.option("--channels", default=1, show_default=True, type=click.IntRange(1, MAX_CHANNELS),
                 help="How many channels the core has."),
    click.option("--cpus", default=1, show_default=True, type=click.IntRange(1, MAX_CPUS), help="CPUs of the guest."),
    click.option("--memory", type=click.IntRange(256, 65536), metavar="MIB", help="RAM of the guest  [default: enough]"),
    click.option("--desc-count", default=64, show_default=True, type=click.IntRange(4, 8192),
                 help="Descriptors of a channel, the property of its node."),
    click.option("--nested", is_flag=True, help="Channel nodes below the management node, as on a host (ACPI has them so)."),
    click.option("--firmware", type=click.Choice(["acpi", "dt"]),
                 help="ACPI tables or a device tree  [default: what the driver's aliases take, a device tree first]"),
    click.option("--suite", metavar="NAME", help="Debian suite of the fetched guest: bookworm, trixie, sid  [default: this "
                 "machine's]"),
    click.option("--efi", metavar="FILE", help="EFI firmware for a guest with ACPI in place of the fetched one."),
    click.option("--kernel", metavar="FILE", help="An arm64 Image in place of the fetched kernel."),
    click.option("--modules", metavar="DIR", help="Its /lib/modules/VERSION; without it all is built in."),
    click.option("--busybox", metavar="FILE", help="A static arm64 busybox in place of the fetched one."),
    click.option("--driver", metavar="A.ko[,B.ko]", help="Drivers in place of the stock modules for the same devices."),
    click.option("--client", metavar="M.ko[,P=V...]", help="A module to load once the driver is bound, such as dmatest.ko."),
    click.option("--share", metavar="DIR", help="A directory that the guest has at /share (9p), to read and to write."),
    click.option("--gdb", metavar="DEV", help="Wait for a debugger there before the guest's first instruction (tcp::1234)."),
    click.option("--monitor", metavar="DEV", help="QEMU's monitor there (unix:PATH,server=on,wait=off)."),
    click.option("--append", default="", metavar="TEXT", help="More for the kernel's command line."),
    click.option("--fault", multiple=True, metavar="TEXT", help="A fault to inject (see hidma faults); may be repeated."),
    click.option("--bandwidth", type=click.FloatRange(min=0.001), metavar="MBPS",
                 help="Bandwidth of the modelled bus in MB/s, each way  [default: 12800]"),
    click.option("--trace", metavar="FILE", help="Write what happens to the hardware there, a line of JSON for each event."),
    click.option("--qemu", metavar="FILE", help="The QEMU to run  [default: qemu-system-aarch64]"),
)
"""What describes a guest and its hardware."""
BOUNDED = (
    click.option("--timeout", default=120.0, show_default=True, type=click.FloatRange(min=0, min_open=True), metavar="S",
                 help="Seconds until the guest is given up."),
    click.option("--stall", default=20.0, show_default=True, type=click.FloatRange(min=0, min_open=True), metavar="S",
                 help="Seconds without a word or a sign of it until it is given up."),
    click.option("--quiet", is_flag=True, help="Do not print the guest's console."),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as a JSON object, and nothing else."),
)
"""What a guest has that runs by itself."""


def guest_command(bounded: bool = True, failed: int = UNUSABLE, **settings: Any) -> Decorator:
    """A subcommand that boots a guest. What goes wrong becomes a sentence and the status ``failed``."""

    def decorate(function: Any) -> Any:
        @wraps(function)
        def command(**given: Any) -> int:
            try:
                with ending_well():
                    status: int = function(**given)
                    return status
            except QemuError as error:
                complain(error)
                return failed

        for option in reversed((*GUEST, *(BOUNDED if bounded else ()))):
            command = option(command)
        return qemu.command(**settings)(command)

    return decorate


def run_guest(mode: str, given: dict[str, Any], mib: int = 0) -> int:
    """A guest that runs by itself, and its summary."""
    silent = given["quiet"] or given["as_json"]
    ended: QemuError | None = None
    with guest(plan_of(mode, given, mib), given, None if silent else to_stdout) as session:
        try:
            session.run()
        except QemuError as error:
            ended = error
        summary = session.summary()
    came_up = "release" in session.reports.values
    problems = list(summary["problems"])
    if ended is not None:
        summary["problems"].insert(0, ended.sentence)
    if given["as_json"]:
        show_json(summary)
    elif came_up:
        show_lines(described(summary))
    if ended is None:
        return verdict(problems)
    if not silent:
        ended.console = []  # it has just been printed
    complain(ended)
    return FAILED if came_up else UNUSABLE


def described(summary: dict[str, Any]) -> list[str]:
    """The summary for people."""
    lines = ["", f"kernel: Linux {summary['kernel']}"]
    if summary["boot_s"] is not None:
        lines.append(f"boot to the driver bound: {summary['boot_s']:.2f} s ({', '.join(summary['devices']) or 'nothing bound'})")
    rows = summary["channels"]
    for row in rows:
        if len(rows) > 8 and not row["descriptors"] and not row["errors"]:
            continue
        asked = "; ".join(f"{block.upper()} " + ", ".join(f"{name} {count}" for name, count in commands.items())
                          for block, commands in row["commands"].items() if commands) or "none"
        lines.append(f"chan{row['channel']}: {row['descriptors']} descriptors, {row['bytes']} bytes, {row['interrupts']} "
                     f"interrupts, {row['doorbells']} doorbells, weight {row['weight']}, priority {row['priority']}"
                     + (f", {row['errors']} errors" if row["errors"] else ""))
        lines.append(f"    commands: {asked}")
    ratio = interrupts_per_batch(rows)
    if ratio is not None:
        lines.append(f"interrupts for each batch of events consumed: {ratio:.2f}")
    copy = summary.get("copy")
    if copy:
        if copy["descriptors_per_s"]:
            lines.append(f"copy: {copy['mib']} MiB to {'the array' if copy['arrays'] == 1 else str(copy['arrays']) + ' arrays'} in "
                         f"{copy['seconds']:.2f} s, {copy['descriptors']} descriptors, {copy['descriptors_per_s']} a second; "
                         f"the guest took {copy['guest_interrupts']} interrupts")
        lines.append(f"md5 written: {copy['source_md5'] or 'none'}")
        lines += [f"md5 read:    {back['md5']} ({back['array']}, {back['differences']} differences)" for back in copy["back"]]
    for thread in summary.get("client", {}).get("threads", []):
        lines.append(f"client: {thread['thread']}: {thread['tests']} tests, {thread['failures']} failures")
    removal = summary["removal"]
    if summary["mode"] == "probe":
        lines.append(f"removal: {len(removal['unbound'])} unbound, {len(removal['rebound'])} bound again, "
                     f"driver {'removed' if removal['removed'] else 'not removed'}")
    lines.append(f"verdict: {'as it should be' if not summary['problems'] else 'not as it should be'}")
    return lines


@guest_command()
@click.option("--mib", default=4, show_default=True, type=click.IntRange(1, MAX_MIB), metavar="N",
              help="How many MiB an array gets.")
def raid(mib: int, **given: Any) -> int:
    """Build a RAID-5 array of RAM disks in the guest, copy to it through the channel, read back, compare.

    With --cpus and --channels there is an array for each CPU that has a channel. Exit status: 0 when nothing differs, 1 when
    something does or the guest stops in the middle, 2 when it could not be begun.
    """
    return run_guest("raid", given, mib)


@guest_command()
def probe(**given: Any) -> int:
    """Bind the driver, run --client if one is given, take the devices away and give them back, remove the driver."""
    return run_guest("probe", given)


@guest_command()
@click.option("--fault-at", default="read-burst:40", show_default=True, metavar="TEXT", help="The error of the second run.")
@click.option("--keep", metavar="DIR", help="Keep the guest's traces and consoles there.")
def compare(fault_at: str, keep: str | None, **given: Any) -> int:
    """V14's port and the guest's own driver side by side: probe, transfers, an error, removal.

    The guest's transfers are those of --client (dmatest.ko, whose parameters are chosen unless they are given), or of the array
    when there is none; the port makes as many of the same length, one after the other.
    """
    from hidma.commands.qemu import compare as both_drivers

    if given["fault"] or given["trace"]:
        raise click.UsageError("compare has its own error (--fault-at) and its own traces (--keep).")
    if given["channels"] != 1:
        raise click.UsageError("compare looks at one channel.")
    if given["client"] and "," not in given["client"]:
        given["client"] += "".join(f",{parameter}" for parameter in COMPARE_DMATEST)
    plan = plan_of("compare", given, 1)
    transfers, length = (COMPARED, COMPARED_BYTES) if plan.client else (256, 4096)
    release = ""
    runs: list[list[dict[str, Any]]] = []
    told: list[str] = []
    try:
        with Scratch(prefix="hidma-qemu-") as scratch:
            where = Path(keep or scratch)
            where.mkdir(parents=True, exist_ok=True)
            for name, fault in (("clean", ()), ("broken", (fault_at,))):
                console = bytearray()
                trace = str(where / f"{name}.jsonl")
                say(f"the guest's driver, {'with ' + fault_at if fault else 'without an error'}")
                with guest(plan, {**given, "fault": fault, "trace": trace}, console.extend, say=None if fault else say) as session:
                    try:
                        session.run()
                    except QemuError as error:
                        if not fault:
                            raise
                        told.append(error.sentence)  # a kernel that does not survive the error is what is to be seen
                    release = session.reports.last("release") or session.kernel
                    problems = session.problems() if not fault else []
                    told += [line.partition("] ")[2] for line in session.lines if fault and TOLD_CLIENT.search(line)][:3]
                if keep:
                    write_file(where / f"{name}.txt", console.replace(b"\r\n", b"\n"))
                runs.append(both_drivers.read(trace))
                if problems:
                    return verdict(problems)
    except OSError as error:
        raise QemuError(f"{error.filename or keep}: {error.strerror}; --keep takes a directory that can be written") from None
    port = both_drivers.port_run(transfers, length, given["desc_count"], fault_at)
    both = [port, both_drivers.Run(f"Linux {release}", runs[0], runs[1], told)]
    if given["as_json"]:
        show_json({run.name: both_drivers.digest(run) for run in both})
    else:
        show_lines(both_drivers.table(both))
    return 0


class Output:
    """What a script in the guest prints: what stands on its console between two marks, byte for byte."""

    BEGIN = b"\x1ehidma-guest: run=begin\n"
    END = b"\x1ehidma-guest: run="

    def __init__(self, out: BinaryIO) -> None:
        self.out = out
        self.held = b""
        self.mark = self.BEGIN

    def feed(self, data: bytes) -> None:
        """Take what came from the console, pass on what belongs to the script. The start of a mark is held back."""
        self.held += data
        while self.mark and self.mark in self.held:
            before, _, self.held = self.held.partition(self.mark)
            self._pass(before)
            self.mark = self.END if self.mark == self.BEGIN else b""
        keep = next((size for size in range(min(len(self.mark) - 1, len(self.held)), 0, -1)
                     if self.mark.startswith(self.held[-size:])), 0)
        self._pass(self.held[: len(self.held) - keep])
        self.held = self.held[len(self.held) - keep :]

    def _pass(self, data: bytes) -> None:
        if self.mark == self.END and data:
            self.out.write(data)
            self.out.flush()


def run_script(given: dict[str, Any], script: bytes, arguments: Sequence[str] = ()) -> int:
    """Run a script in the guest; its exit status, or FOR_ITSELF when it has none."""
    with guest(plan_of("run", given, 0, script, arguments), given, Output(sys.stdout.buffer).feed) as session:
        session.run()
        summary = session.summary()
    verdict(summary["problems"])
    if not given["quiet"]:
        show_lines(described(summary)[:-1], err=True)
    status = session.reports.last("run")
    return int(status) if status.isdecimal() else FOR_ITSELF


@guest_command(failed=FOR_ITSELF, context_settings={"allow_interspersed_args": False})
@click.option("-c", "text", metavar="TEXT", help="A line of the guest's shell to run in place of COMMAND.")
@click.option("--script", metavar="FILE", help="A script to run in the guest's shell (- is stdin); COMMAND are its arguments.")
@click.argument("command", nargs=-1)
def run(text: str | None, script: str | None, command: tuple[str, ...], **given: Any) -> int:
    """Run a command or a script in the guest once the driver is bound: hidma qemu run -- COMMAND.

    stdout has what it prints on stdout and stderr, and nothing else; a summary of the hardware follows on stderr (--quiet: not).
    Exit status: that of the command; 125 when the guest did not come so far.
    """
    if (text is not None) + (script is not None) + (script is None and bool(command)) != 1:
        raise click.UsageError("give one of -- COMMAND, -c TEXT and --script FILE.")
    try:
        with nullcontext(sys.stdin.buffer) if script == "-" else open(script or os.devnull, "rb") as file:
            body = file.read()
    except OSError as error:
        raise click.UsageError(f"--script {script}: {error.strerror}.") from None
    if script is not None:
        return run_script(given, body, command)
    return run_script(given, (text if text is not None else shlex.join(command)).encode() + b"\n")


@guest_command()
@click.argument("script", required=False)
def sysdiff(script: str | None, **given: Any) -> int:
    """The same script in the guest's shell and in hidma shell: what differs, and why.

    Without SCRIPT it is one that shows all files of both drivers and writes to them. The hardware is described by ACPI in both.
    Exit status: 0 when each difference is known, 1 when one is not.
    """
    from hidma.commands.qemu import sysdiff as both_shells

    if given["firmware"] == "dt":
        raise click.UsageError("sysdiff compares what ACPI describes; a real kernel has no hierarchy with a device tree.")
    printed = io.BytesIO()
    body = both_shells.script_of(script)
    with guest(plan_of("run", given, 0, body), given, Output(printed).feed, firmware=ACPI) as session:
        session.run()
        release, layout = session.reports.last("release") or session.kernel, session.layout
    ours = both_shells.ours(body, layout, given["cpus"])
    same, found = both_shells.compared(printed.getvalue().decode(errors="replace"), ours)
    if given["as_json"]:
        show_json({"kernel": release, "same": same, "differences": [asdict(each) for each in found]})
    else:
        show_lines(both_shells.table(f"Linux {release}", same, found))
    return FAILED if any(each.why is None for each in found) else 0


@guest_command()
def assign(**given: Any) -> int:
    """A channel goes to the real vfio-platform, to a program of the guest's user space, and back; hidma assign shows ours.

    vfio-platform and the reset module are built here for the guest's kernel, so a compiler for arm64 is needed
    (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, make). Exit status: 0 when every step went as it should, 1 when not.
    """
    from hidma.commands.qemu import assign as vfio

    if given["firmware"] == ACPI or given["channels"] != 1:
        raise click.UsageError("assign looks at one channel, which a device tree puts behind the SMMU.")
    given["append"] = f"{vfio.APPEND} {given['append']}".strip()
    check_tools()
    parts = parts_of(given)
    release = packages.kernel_version(parts.kernel)[1]
    plan = plan_of("run", given, 0, vfio.own("assign.sh"))
    choose_firmware(plan, parts, DEVICE_TREE)  # a kernel that knows none is refused before anything is built
    plan.files, plan.modules = vfio.built(build_kit(release, given["suite"], say)), vfio.VFIO_MODULES
    with guest(plan, given, smmu=True) as session:
        session.run()
    rows = vfio.rows(session.steps)
    if given["as_json"]:
        show_json({"kernel": release, "steps": rows})
    else:
        show_lines(vfio.described(rows))
    return verdict([*session.problems(), *vfio.unexpected(rows)])


@guest_command(bounded=False)
def shell(**given: Any) -> int:
    """The guest's console on this terminal, with the model running. Ctrl-] ends it, and so does exit in the guest.

    Without a terminal, stdin is a script for the guest's shell, as with hidma qemu run --script -.
    """
    given |= {"timeout": None, "stall": None, "quiet": False}
    if not sys.stdin.isatty():
        return run_script(given, sys.stdin.buffer.read())
    with guest(plan_of("shell", given), given) as session:
        on_terminal(session)
        lines = described(session.summary())
    show_lines(lines[:-1])
    return 0


def on_terminal(session: Session) -> None:
    """The console of a guest on our terminal, until the guest or the user ends it."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    typed = b""

    def show(data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def leaves() -> bool:
        """Pass on what was typed, once the guest's shell is there; whether the user wants to leave."""
        nonlocal typed
        if len(typed) < 4096 and select.select([terminal], [], [], 0)[0]:
            data = os.read(terminal, 1024)
            if LEAVE in data or not data:
                return True
            typed += data
        if typed and "shell" in session.reports.values:
            typed = typed[session.emulator.write(typed) :]
        return False

    say("starting the guest; Ctrl-] ends it")
    session.show = show
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        session.run(leaves)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
