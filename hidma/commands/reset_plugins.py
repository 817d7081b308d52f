# SPDX-License-Identifier: GPL-2.0-only
"""``hidma reset-plugins``: which reset plugins are there, how the lookup for a device goes, whether a plugin is any good,
and a new one to begin with. It stands for no C file.
"""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hidma.commands.options import table
from hidma.commands.output import output_directory
from hidma.plugin import sources
from hidma.plugin.hookspecs import ENTRY_POINT_GROUP, HOOKSPEC_VERSION
from hidma.plugin.sources import PluginError, Source

FAILED = 1


@click.group("reset-plugins")
def reset_plugins() -> None:
    """Reset functions of devices that are given to guests: list, explain, check, new.

    A reset plugin is a Python package with an entry point whose name is what a device is matched by: its compatible string or
    its ACPI hardware ID. Only the one that is asked for is imported. hidma --plugin FILE|DIR takes one that is not installed,
    hidma --no-plugin NAME leaves one alone.
    """


# --- list -----------------------------------------------------------------------------------------------------------------


@reset_plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(as_json: bool) -> int:
    """Show the plugins that are there, and of several for one device the one that wins. Those that are installed are not
    imported."""
    with sources.quiet():
        found, problems = sources.found_now()
    winners = {(source.group, source.name): source for source in found if sources.enabled(source)}
    rows: list[dict[str, Any]] = []
    for source in found:
        state = "disabled" if not sources.enabled(source) else (
            "wins" if winners[source.group, source.name] is source else "loaded before")
        rows.append({"match": source.name, "module": source.module_name, "value": source.value,
                     "distribution": source.distribution, "version": source.version, "origin": source.where,
                     "group": source.group, "state": state, "hooks": sources.hooks_of(source)})
    rows.sort(key=lambda row: (row["match"], row["state"] != "wins"))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(table([("MATCH", "MODULE", "DISTRIBUTION", "ORIGIN", "STATE", "HOOKS"), *((
            row["match"], row["module"], row["distribution"], row["origin"],
            row["state"] if row["group"] == ENTRY_POINT_GROUP or row["state"] == "disabled" else "model only",
            ", ".join(name.removeprefix("hidma_") for name in row["hooks"])) for row in rows)]))
        for name in sorted({row["match"] for row in rows if row["state"] == "loaded before"}):
            several = [str(row["distribution"]) for row in rows if row["match"] == name and row["state"] != "disabled"]
            click.echo(f"note: {name!r} is in {' and '.join(several)}: all are loaded, that of {several[0]} last, and of "
                       "several that match V14 takes the one registered last (row 31); hidma --no-plugin NAME leaves one alone")
    for sentence in problems:
        click.echo(f"note: {sentence}", err=as_json)
    return 0


# --- explain --------------------------------------------------------------------------------------------------------------


@reset_plugins.command("explain")
@click.argument("device")
@click.option("--board", default="host", show_default=True, metavar="NAME|FILE", help="The board that the device is on.")
@click.option("--modprobe", "before", multiple=True, metavar="PLUGIN",
              help="Load this plugin before, as modprobe does. May be repeated.")
def explain(device: str, board: str, before: tuple[str, ...]) -> int:
    """Explain, step by step, how VFIO looks for the reset function of DEVICE (such as hidma.0).

    A machine is booted for it, and the device bound to vfio-platform there. Exit status 1 when that fails.
    """
    from hidma.machine.boot import boot

    with boot(board) as machine:
        for sentence in sources.found_now()[1]:
            click.echo(f"note: {sentence}", err=True)
        machine.device(device)
        for name in ("vfio-platform", *before):
            machine.modprobe(name)
        logged = len(machine.kernel.log)
        for number, step in enumerate(steps(machine, device), 1):
            click.echo(textwrap.fill(step, 100, initial_indent=f"{number}. ", subsequent_indent="   ",
                                     break_on_hyphens=False))
        lines = [line.text for line in machine.kernel.log[logged:]]
        if lines:
            click.echo("The kernel log of it:")
            for text in lines:
                click.echo(textwrap.indent(text, "   "))
        return 0 if dict(machine.devices())[device] == "vfio-platform" else FAILED


def steps(machine: Any, device: str) -> Iterator[str]:
    """The sentences of :func:`explain`: what is there, then what the driver did."""
    from hidma.linux.iommu import group_of
    from hidma.linux.list import list_for_each_entry
    from hidma.linux.of import DeviceNode, of_compatible
    from hidma.linux.property import dev_fwnode, device_property_read_string
    from hidma.vfio_platform import reset_list
    from hidma.vm import reset_function

    kernel = machine.kernel
    dev = machine.device(device).dev
    companion = dev.acpi_companion
    compat = None
    if companion is not None and companion.hid is not None:
        yield (f"{device} has an ACPI companion with the hardware ID {companion.hid}. V14 looks there first (row 30), so its "
               "compatible string is not looked at.")
    else:
        if companion is not None:
            yield f"{device} has an ACPI companion without a hardware ID, so its compatible string is looked at (row 30)."
        rc, compat = device_property_read_string(dev, "compatible")
        node = dev_fwnode(dev)
        others = of_compatible(node)[1:] if isinstance(node, DeviceNode) else []
        if rc:
            yield f"{device} has no compatible string: vfio-platform refuses it (-EINVAL)."
        elif others:
            yield (f"{device} has no ACPI companion. Of its compatible strings only the first, {compat}, is looked at (row 31); "
                   f"{', '.join(others)} never is.")
        else:
            yield f"{device} has no ACPI companion; its compatible string is {compat}."
    with machine.calling():
        group = group_of(dev)
        nodes = list(list_for_each_entry(reset_list()))
    if group is None:
        yield f"No IOMMU of the board translates for {device}, so it is in no IOMMU group."
    elif getattr(dev.of_node, "full_name", None) is None and companion is None:
        yield (f"{device} is in IOMMU group {group.id}, by the stream of its registers: 4.5 would find no group, since V14 leaves "
               "its device without a node (row 27); hidma declares this difference.")
    else:
        yield f"{device} is in IOMMU group {group.id}."
    if nodes:
        known = "; ".join(f"{node.owner.name if node.owner else 'built in'} for "
                          f"{' and '.join(x for x in (node.compat, node.acpihid) if x)}" for node in nodes)
        yield f"The list of reset functions, the one registered last first: {known}."
    else:
        yield "No reset function is registered yet."

    events: list[tuple[Any, ...]] = []
    said = len(kernel.log)
    machine.watch(events.append)
    sysfs = machine.sysfs
    try:
        if dev.driver is not None and dev.driver.name != "vfio-platform":
            sysfs[f"/sys/bus/platform/drivers/{dev.driver.name}/unbind"] = device
        sysfs[f"/sys/bus/platform/devices/{device}/driver_override"] = "vfio-platform"
        sysfs["/sys/bus/platform/drivers/vfio-platform/bind"] = device
    except OSError:
        machine.watch(None)
        why = [line.text for line in kernel.log[said:] if line.level <= 4]
        yield f"vfio-platform does not bind it: {why[0] if why else 'its probe failed'}."
        return
    machine.watch(None)
    asked = None
    for event in events:
        if event[0] == "module" and event[1] == "get":
            if event[3]:
                yield f"A function of {event[2]} matches, and its module is held."
            else:
                yield f"A function of {event[2]} matches, but its module cannot be held: it is passed over (row 31)."
        elif event[0] == "request_module":
            asked = event[1]
            yield f"Nothing that is registered matches: the kernel asks for the module {asked}."
            yield from what_modprobe_did(asked, companion)
    reset = reset_function(machine, device)
    if reset is not None:
        function, module = reset
        yield (f"{device} is reset by {getattr(function, '__name__', 'its reset function')}() of "
               f"{module.name if module else 'the kernel'}: when a process opens it, when the last one closes it, and on "
               "VFIO_DEVICE_RESET.")
    else:
        yield (f"{device} has no reset function: it can be opened all the same, with the warning \"no reset function found!\" "
               "(row 33), and VFIO_DEVICE_RESET is -EINVAL.")
        if companion is not None and companion.hid is not None and sources.find(companion.hid):
            yield (f"Load the plugin before the device is bound: modprobe {companion.hid} in the shell, --modprobe "
                   f"{companion.hid} here.")
        elif companion is not None and companion.hid is not None:
            yield f"No plugin is called {companion.hid}, so that loading one before the device is bound does not help either."


def what_modprobe_did(asked: str, companion: Any) -> Iterator[str]:
    """The steps after a module was asked for."""
    name = asked.removeprefix(sources.ALIAS)
    if name == "(null)":
        yield ("On an ACPI system the name that V14 puts there is NULL (row 32), so the module loader is asked for "
               "vfio-reset:(null), which no module is called: the plugin has to be loaded before.")
        return
    found = sources.find(asked)
    if not found:
        yield f"No entry point of the group {ENTRY_POINT_GROUP} is called {name!r}: nothing is loaded."
        return
    for each in found:
        yield f"The entry point {each.name!r} of {each.distribution} is imported ({each.value}) and loaded as {each.module_name}."
    if len(found) > 1:
        yield "Several are called so: all are loaded, and V14 takes the one that was registered last (row 31)."


# --- check ----------------------------------------------------------------------------------------------------------------


@reset_plugins.command("check")
@click.argument("plugin", metavar="PATH_OR_NAME")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--strict", is_flag=True, help="A note is a failure.")
@click.option("--timeout", default=10.0, show_default=True, metavar="SECONDS", type=click.FloatRange(0.1, 3600),
              help="How much processor time one check may take.")
def check(plugin: str, as_json: bool, strict: bool, timeout: float) -> int:
    """Run the kit of checks on a plugin: one that is installed, by the name that it matches, or a project or file.

    The checks run the reset function on the plugin's own model of its device, each in a process of its own. They are in
    hidma.testing, for the plugin's own tests as well. Exit status 1 when one fails.
    """
    from hidma.plugin import testing

    rows: list[dict[str, str]] = []
    failed = 0
    try:
        targets = opened(plugin, timeout)
        for target in targets.values():
            results = testing.check(target[0], seconds=timeout, strict=strict)
            for other in target[1:]:
                testing.check(other, (), timeout)
            failed += sum(result.status == "failed" for result in results)
            rows += [{"plugin": str(target[0]), "check": result.name, "status": result.status, "text": result.text}
                     for result in results]
            if as_json:
                continue
            click.echo(f"{target[0]}")
            for result in results:
                click.echo(textwrap.fill(f"{result.name}{': ' if result.text else ''}{result.text}", 110,
                                         initial_indent=f"  {result.status:<7} ", subsequent_indent=" " * 10))
    except PluginError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(f"{len(rows) - failed} of {len(rows)} checks hold")
    return FAILED if failed else 0


def opened(name: str, seconds: float = 10.0) -> dict[str, list[Source]]:
    """The reset plugins that ``name`` means, by identity: installed ones, those of a project, or those of a file.

    A file is imported in a process of its own, which has ``seconds``.

    :raises PluginError: when there is none, or a file cannot be imported
    """
    from hidma.plugin.testing import bounded

    path = Path(name)
    if path.is_dir() or path.suffix == ".py" or "/" in name:
        if not path.exists():
            raise PluginError(f"there is no file or directory {name}")

        try:
            pairs = bounded(lambda: [part for source in sources.of_path(path) for part in (source.group, source.name)], seconds)
        except PluginError as error:
            name = "" if str(path) in str(error) else f"{path} cannot be imported: "
            raise PluginError(f"{name}{error}") from None
        found = sources.of_project(path) if (path / "pyproject.toml").is_file() else [
            sources.of_file(path, match, group) for group, match in zip(pairs[::2], pairs[1::2], strict=True)]
        found = [source for source in found if source.group == ENTRY_POINT_GROUP]
    else:
        found = sources.find(name)
    if not found:
        known = ", ".join(sorted({each.name for each in sources.installed()})) or "none"
        raise PluginError(f"no installed plugin is called {name!r}; there are {known}; a project is given as a directory, a file "
                          "ends with .py")
    by_identity: dict[str, list[Source]] = {}
    for source in found:
        by_identity.setdefault(source.identity, []).append(source)
    return by_identity


# --- new ------------------------------------------------------------------------------------------------------------------


@reset_plugins.command("new")
@click.argument("name")
@click.option("--compatible", metavar="STRING", help="The compatible string of the device, such as acme,frobnicator-1.0.")
@click.option("--hid", metavar="ID", help="The ACPI hardware ID of the device, such as ACME0001.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Where to write it; the default is a new directory NAME here.")
def new(name: str, compatible: str | None, hid: str | None, directory: Path | None) -> int:
    """Write a new plugin called NAME: an installable package with a model of the device, a board that has it, a test and
    documentation.

    It is green as it is written; what to change stands in its README.
    """
    module = name.replace("-", "_").replace(".", "_").lower()
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) or not module.isidentifier() \
            or keyword.iskeyword(module):
        raise click.UsageError(f"a package is called something like acme-reset: letters, digits and hyphens, a letter first; "
                               f"not {name!r}")
    if compatible is None and hid is None:
        raise click.UsageError("a device is matched by --compatible, --hid or both; give one of them.")
    for option, value, form in (("--compatible", compatible, r"[A-Za-z0-9,._+-]+"), ("--hid", hid, r"[A-Z0-9]{7,8}")):
        if value is not None and not re.fullmatch(form, value):
            example = "acme,frobnicator-1.0" if option == "--compatible" else "ACME0001 (3 or 4 letters, 4 digits)"
            raise click.UsageError(f"{option} is something like {example}, not {value!r}.")
    place = directory or Path(name)
    if place.exists() and any(place.iterdir() if place.is_dir() else [place]):
        raise click.ClickException(f"{place} is there already; give another name, or --directory")
    made = files(name, module, compatible, hid)
    with output_directory(place) as directory:
        for relative, text in made.items():
            (directory / relative).parent.mkdir(parents=True, exist_ok=True)
            (directory / relative).write_text(text, encoding="utf-8")
    click.echo("\n".join(str(place / relative) for relative in made))
    click.echo(f"hidma reset-plugins check {place} checks it; {place / 'README.rst'} says how it is used")
    return 0


def files(name: str, module: str, compatible: str | None, hid: str | None) -> dict[str, str]:
    """The files that :func:`new` writes, by path: those of hidma/plugin/template with their placeholders filled in."""
    matches = [value for value in (compatible, hid) if value is not None]
    boards = [line for value, line in (
        (compatible, "- ``board.dts``: a board with the device, as a device tree."),
        (hid, "- ``board.asl``: a board with the device, as an ACPI table.")) if value is not None]
    known = {
        "NAME": name, "MODULE": module, "COMPATIBLE": repr(compatible), "HID": repr(hid), "VERSION": str(HOOKSPEC_VERSION),
        "MATCH": matches[0], "MATCHES": " and ".join(matches), "GROUP": ENTRY_POINT_GROUP,
        "ENTRIES": "\n".join(f'{json.dumps(match)} = "{module}"' for match in matches),
        "CLASS": "".join(part.capitalize() for part in module.split("_")),
        "TITLE": f"{name}\n{'=' * len(name)}", "COMPATIBLETEXT": compatible or "", "HIDTEXT": hid or "",
        "BOARDLINES": "\n".join(boards) + "\n", "BOARD": "board.dts" if compatible is not None else "board.asl",
        "DEVICE": "a000000.device" if compatible is not None else f"{hid}:00",
    }

    def filled(template: str) -> str:
        from importlib import resources  # which the other commands need not

        text = resources.files("hidma.plugin").joinpath("template", template).read_text(encoding="utf-8")
        return re.sub(r"@([A-Z]+)@", lambda placeholder: known[placeholder[1]], text)

    made = {
        "pyproject.toml": filled("pyproject.toml.in"),
        "README.rst": filled("README.rst.in"),
        f"src/{module}/__init__.py": filled("plugin.py.in"),
        f"src/{module}/model.py": filled("model.py.in"),
        f"src/{module}/py.typed": "",
        f"tests/test_{module}.py": filled("test.py.in"),
    }
    if compatible is not None:
        made["board.dts"] = filled("board.dts.in")
    if hid is not None:
        made["board.asl"] = filled("board.asl.in")
    return made
