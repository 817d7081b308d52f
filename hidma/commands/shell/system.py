# SPDX-License-Identifier: GPL-2.0-only
"""The commands that ask the kernel: time, its log, modules, dmatest."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from hidma.commands.shell.command import Usage, command, options
from hidma.commands.shell.interp import INTERRUPTED, Shell
from hidma.commands.shell.io import Io
from hidma.linux import dmatest as dmatest_module
from hidma.linux.base import use_count
from hidma.linux.errno import EAGAIN, EBUSY, EEXIST, ENOENT, EPERM, strerror
from hidma.linux.module import MODULE_SIZE, load_module, modules, unload_module, users
from hidma.linux.sched import schedule_timeout
from hidma.machine.boot import MODULES

if TYPE_CHECKING:
    from hidma.plugin.loading import Source

RELEASE = "4.5.0-rc1"
LOADABLE = {**MODULES, "dmatest": dmatest_module.module}
UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "": 1_000_000_000,
}
ITERATIONS = "100"
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
POLL = 1_000_000


def span(text: str, default: str) -> int | None:
    """Nanoseconds of ``5ms``, ``1.5``; None when it is no time."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)?", text)
    if match is None:
        return None
    return round(float(match[1]) * UNITS[(match[2] or default).replace("µ", "u")])


@command("sleep", help="let virtual seconds pass")
def sleep(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("missing operand")
    total = 0
    for text in args[1:]:
        ns = span(text, "s")
        if ns is None:
            raise Usage(f"invalid time interval '{text}'")
        total += ns
    return shell.wait(total)


@command("run", help="let virtual time pass: run 5ms")
def run(shell: Shell, args: list[str], io: Io) -> int:
    ns = span(args[1], "none") if len(args) == 2 and re.search(r"[a-z]$", args[1]) else None
    if ns is None:
        raise Usage("how long? For example: run 5ms (ns, us, ms, s)", 2)
    return shell.wait(ns)


@command("dmesg", help="the kernel log (-c -C -t, -l LEVELS)")
def dmesg(shell: Shell, args: list[str], io: Io) -> int:
    try:
        found, rest = options(args, "cCtl:r", ("level=", "clear", "read-clear", "notime"))
    except Usage as error:
        if "'w'" in str(error):
            raise Usage("-w waits for new lines, but while it waits nothing happens in this machine") from None
        raise
    if not shell.root and ({"-c", "-C", "--clear", "--read-clear"} & set(found)):
        raise Usage(f"{'read' if '-c' in found else 'clear'} kernel buffer failed: {strerror(EPERM)}")
    wanted = found.get("-l", found.get("--level"))
    levels = set(wanted.split(",")) if wanted else set(LEVELS)
    for level in levels - set(LEVELS):
        raise Usage(f"unknown level '{level}'")
    if not {"-C", "--clear"} & set(found):
        for line in shell.machine.kernel.log[shell.log_start :]:
            if LEVELS[line.level] in levels:
                io.print(line.text if {"-t", "--notime"} & set(found) else str(line))
    if {"-c", "-C", "--clear", "--read-clear"} & set(found):
        shell.log_start = len(shell.machine.kernel.log)
    return 0


@command("lsmod", help="the loaded modules")
def lsmod(shell: Shell, args: list[str], io: Io) -> int:
    io.print("Module                  Size  Used by")
    loaded = modules(shell.machine.kernel)
    for module in reversed(loaded):
        holders = users(shell.machine.kernel, module.name)
        used = use_count(shell.machine.kernel, module)
        io.print(f"{module.name:<19} {MODULE_SIZE:>8}  {used}{' ' if holders else ''}{','.join(holders)}")
    return 0


@command("modprobe", help="load a module: modprobe hidma nr_desc_prm=32; unload it: modprobe -r hidma")
def modprobe(shell: Shell, args: list[str], io: Io) -> int:
    found, rest = options(args, "rvqa", ("remove",))
    if not rest:
        raise Usage("ERROR: missing parameters. See -h.")
    name = rest[0].replace("-", "_")
    module = LOADABLE.get(name)
    resets = [] if module is not None else reset_plugins(rest[0])
    if module is None and not resets:
        raise Usage(
            f"FATAL: Module {rest[0]} not found{'.' if '-r' in found else f' in directory /lib/modules/{RELEASE}'}"
        )
    if not shell.root:
        verb = "remove" if "-r" in found else "insert"
        raise Usage(f"ERROR: could not {verb} '{name}': {strerror(EPERM)}")
    if "-r" in found or "--remove" in found:
        return unload(shell, args[0], resets[0].module_name if resets else name, quiet=True)
    parameters = {}
    for word in rest[1:]:
        key, equals, value = word.partition("=")
        # a bare name of a bool is true
        parameters[key] = value if equals else "Y"
    if name in MODULES or resets:
        rc = shell.call(lambda: shell.machine.load(rest[0], parameters))
    else:
        assert module is not None
        rc = shell.call(lambda: load_module(shell.machine.kernel, module, parameters))
    if rc == -EEXIST:
        return 0
    if rc < 0:
        raise Usage(f"ERROR: could not insert '{rest[0] if resets else name}': {strerror(rc)}")
    return 0


def reset_plugins(name: str | None = None) -> list[Source]:
    """The reset plugins that are called ``name``; all of them without one."""
    from hidma.plugin import loading  # few shells need them, and they bring pluggy

    return loading.installed() if name is None else loading.find(name)


def unload(shell: Shell, program: str, name: str, quiet: bool) -> int:
    """rmmod and modprobe -r."""
    if name not in {module.name for module in modules(shell.machine.kernel)}:
        if quiet:
            return 0
        raise Usage(f"ERROR: Module {name} is not currently loaded")
    if not shell.root:
        raise Usage(f"ERROR: could not remove '{name}': {strerror(EPERM)}")
    rc = shell.call(lambda: unload_module(shell.machine.kernel, name))
    if rc == -EAGAIN:
        raise Usage(f"{'FATAL' if quiet else 'ERROR'}: Module {name} is in use{'.' if quiet else ''}")
    if rc == -EBUSY:
        raise Usage(f"ERROR: could not remove module {name}: {strerror(EBUSY)}")
    if rc:
        raise Usage(f"ERROR: could not remove module {name}: {strerror(rc)}")
    return 0


@command("rmmod", help="unload a module")
def rmmod(shell: Shell, args: list[str], io: Io) -> int:
    _, names = options(args, "fsvw")
    if not names:
        raise Usage("ERROR: missing module name.")
    status = 0
    for name in names:
        status |= unload(shell, args[0], name.replace("-", "_"), quiet=False)
    return status


@command("insmod", help="there are no module files here: see modprobe")
def insmod(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("ERROR: missing filename.")
    raise Usage(f"ERROR: could not load module {args[1]}: {strerror(ENOENT)}")


@command("modinfo", help="what a module says of itself")
def modinfo(shell: Shell, args: list[str], io: Io) -> int:
    for name in args[1:]:
        module = LOADABLE.get(name.replace("-", "_"))
        if module is None:
            from hidma.plugin.loading import PluginError, plugin

            try:
                module = next((plugin(found).module for found in reset_plugins(name)), None)
            except PluginError as error:
                raise Usage(f"ERROR: {error}") from None
        if module is None:
            raise Usage(f"ERROR: Module {name} not found.")
        rows = [
            ("filename", module.source),
            *(("alias", alias) for alias in module.aliases),
            ("license", module.license),
            ("depends", ",".join(module.depends)),
            ("name", module.name),
            *(("parm", f"{p.name}:{p.desc}{' ' if p.desc else ''}({p.type})") for p in module.params),
        ]
        for key, value in rows:
            io.print(f"{key + ':':<16}{value}".rstrip())
    return 0


@command("dmatest", help="run the kernel's DMA test: dmatest iterations=5 channel=dma0chan0")
def dmatest(shell: Shell, args: list[str], io: Io) -> int:
    if not shell.root:
        raise Usage(f"could not insert 'dmatest': {strerror(EPERM)}")
    kernel = shell.machine.kernel
    parameters = {"iterations": ITERATIONS}
    for word in args[1:]:
        key, equals, value = word.partition("=")
        if key not in {p.name for p in dmatest_module.module.params}:
            raise Usage(f"no such parameter: {key}; modinfo dmatest shows them", 2)
        parameters[key] = value if equals else "Y"
    if any(module.name == "dmatest" for module in modules(kernel)):
        raise Usage("the module is loaded already; rmmod dmatest first")
    channels = parameters.pop("channel", "")
    for key in ("run", "wait"):
        parameters.pop(key, None)
    begin = len(kernel.log)

    def show() -> None:
        nonlocal begin
        for line in kernel.log[begin:]:
            io.print(str(line))
        begin = len(kernel.log)
        io.out.flush()

    failed = False
    with shell.machine.running():
        rc = load_module(kernel, dmatest_module.module, parameters)
        if rc == 0:
            info = dmatest_module.test_info()
            for name in channels.split(","):
                rc = rc or dmatest_module.dmatest_chan_set(name)
            threads = [thread for dtc in info.channels for thread in dtc.threads]
            if rc == 0:
                rc = dmatest_module.dmatest_run_set("1")
            while rc == 0 and dmatest_module.is_threaded_test_run(info) and not shell.interrupted:
                schedule_timeout(POLL)
                if len(kernel.log) != begin and shell.terminal:
                    show()
            failed = any(thread.failed_tests or thread.ret for thread in threads)
            unload_module(kernel, "dmatest")
    show()
    if rc:
        raise Usage(f"could not be started: {strerror(rc)}")
    return INTERRUPTED if shell.interrupted else int(failed)


@command("uname", help="name of the system (-a -s -n -r -v -m -o)")
def uname(shell: Shell, args: list[str], io: Io) -> int:
    found, _ = options(args, "asnrvmpio")
    facts = {"-s": "Linux", "-n": "hidma", "-r": RELEASE, "-v": "#1 SMP", "-m": "aarch64", "-o": "GNU/Linux"}
    io.print(" ".join(text for key, text in facts.items() if "-a" in found or key in found) or "Linux")
    return 0


@command("id", "whoami", help="who you are (-u)")
def identity(shell: Shell, args: list[str], io: Io) -> int:
    user, number = ("root", 0) if shell.root else ("user", 1000)
    if args[0] == "whoami":
        io.print(user)
    else:
        io.print(str(number) if "-u" in args else f"uid={number}({user}) gid={number}({user}) groups={number}({user})")
    return 0


@command("sudo", help="root runs what follows")
def sudo(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("a command is missing")
    if not shell.root:
        raise Usage(
            f"{'root' if args[1] == '-i' else args[1]}: this shell was started with --user, and nobody knows a password"
        )
    if args[1] not in shell.commands:
        raise Usage(f"{args[1]}: command not found")
    return shell.invoke_words(args[1:], io)


@command("mount", help="the file systems of this machine")
def mount(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) > 1:
        raise Usage("everything that this machine has is mounted already", 32)
    for kind, where in (("sysfs", "/sys"), ("proc", "/proc"), ("debugfs", "/sys/kernel/debug"), ("devtmpfs", "/dev")):
        io.print(f"{kind} on {where} type {kind} (rw,relatime)")
    return 0


@command("date", help="the clock of the machine, which began at power-on")
def date(shell: Shell, args: list[str], io: Io) -> int:
    layout = next((word[1:] for word in args[1:] if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    seconds, ns = divmod(shell.machine.now, 1_000_000_000)
    io.print(time.strftime(layout.replace("%N", f"{ns:09d}").replace("%s", str(seconds)), time.gmtime(seconds)))
    return 0


@command("clear", help="an empty screen")
def clear(shell: Shell, args: list[str], io: Io) -> int:
    io.out.write(b"\x1b[H\x1b[2J\x1b[3J")
    return 0


@command("uptime", help="virtual time since power-on")
def uptime(shell: Shell, args: list[str], io: Io) -> int:
    io.print(f" up {shell.machine.now / 1e9:.9f} s")
    return 0
