# SPDX-License-Identifier: GPL-2.0-only
"""``hidma abi``: look up, check and write the documentation of the files of the tree."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from hidma.commands.abi import tree
from hidma.commands.abi.entries import entry_files, facts, read_file, render, validate, whats
from hidma.commands.abi.texts import AbiDoc
from hidma.commands.output import Scratch, output_directory

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


def as_dict(doc: AbiDoc) -> dict[str, Any]:
    return {"what": whats(doc), "mode": f"0{doc.mode:o}" if doc.mode >= 0 else "", "date": doc.date,
            "kernel_version": doc.kernel_version, "contact": doc.contact, "description": doc.description,
            "users": doc.users, "facts": dict(facts(doc)), "values": doc.values(),
            "errors": [list(error) for error in doc.errors()], "driver": doc.driver}


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--directory", type=click.Path(path_type=Path),
              help="Entries of your own in the kernel's format, in place of those of this tree.")
@click.pass_context
def abi(ctx: click.Context, directory: Path | None) -> None:
    """Documentation of the files of the tree, checked against it."""
    if directory is not None and not directory.is_dir():
        raise click.UsageError(f"{directory} is no directory; give one with files in the format of Documentation/ABI")
    if directory is not None and ctx.invoked_subcommand in ("check", "generate"):
        raise click.UsageError(f"{ctx.invoked_subcommand} is about the files of this tree; --directory names entries of another")
    ctx.obj = directory
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@abi.command("list")
@click.option("--driver", help="Only the files of this driver (hidma-mgmt, hidma, dmatest, vfio, core).")
@as_json
@click.pass_obj
def list_(directory: Path | None, driver: str | None, as_json: bool) -> None:
    """List the entries."""
    every = tree.declared(directory)
    docs = [d for d in every if driver in (None, d.driver)]
    if driver is not None and not docs:
        names = ", ".join(sorted({d.driver for d in every}))
        raise click.UsageError(f"no driver {driver!r} has a file; there are {names}")
    if as_json:
        click.echo(json.dumps([as_dict(d) for d in docs], indent=1))
        return
    for doc in docs:
        for path in doc.what:
            click.echo(f"{f'0{doc.mode:o}' if doc.mode >= 0 else '-':<4}  {doc.driver:<11} {path}")


@abi.command()
@click.argument("path")
@as_json
@click.pass_obj
def show(directory: Path | None, path: str, as_json: bool) -> None:
    """Show the entry of PATH: a path of the tree, one with wildcards, or a part of one."""
    docs = tree.find(path, None if directory is None else tree.declared(directory))
    if not docs:
        click.echo(f"hidma abi: nothing in the tree is called {path!r}; 'hidma abi list' shows what there is", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps([as_dict(d) for d in docs], indent=1))
        return
    for number, doc in enumerate(docs):
        click.echo(("\n" if number else "") + render(doc), nl=False)
        for command, lines in [] if directory else tree.examples(doc):
            click.echo(f"Example:\t# {command}")
            click.echo("".join(f"\t\t{line}\n" for line in lines), nl=False)


@abi.command()
@click.argument("regex")
@click.pass_obj
def search(directory: Path | None, regex: str) -> None:
    """Show the entries that REGEX (of Python's kind) is found in."""
    try:
        wanted = re.compile(regex, re.IGNORECASE)
    except re.error as error:
        raise click.UsageError(f"{regex!r} is no regular expression: {error}") from None
    docs = [d for d in tree.declared(directory) if wanted.search(render(d))]
    for doc in docs:
        click.echo(f"{doc.what[0]}: {' '.join(doc.description.split())[:100]}")
    if not docs:
        sys.exit(1)


def entries(count: int) -> str:
    """``1 entry``, ``2 entries``."""
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def report(lines: list[str]) -> None:
    """Print what is wrong, a line each; exit 1 if there is something."""
    for line in lines:
        click.echo(line)
    sys.exit(1 if lines else 0)


@abi.command("validate")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Also report what is not in the style of Documentation/ABI/README.")
@click.pass_obj
def validate_(directory: Path | None, files: tuple[Path, ...], strict: bool) -> None:
    """Check FILES of entries (those of --directory, or of this tree, when there are none): mistakes, with file and line.

    What the kernel's own parser takes is taken; --strict is for entries that are new.
    """
    with Scratch() as out:
        given = files or ((directory,) if directory else ())
        chosen = [path for file in given for path in entry_files(file)] if given else tree.generate(Path(out))
        problems = validate(chosen, strict)
        count = sum(len(read_file(path)[0]) for path in chosen if path.is_file())
    click.echo(f"{entries(count)}, {len(problems)} problem{'' if len(problems) == 1 else 's'}", err=True)
    report([str(problem) for problem in problems])


@abi.command()
@click.argument("root", required=False, type=click.Path(path_type=Path), metavar="[TREE]")
@click.pass_obj
def undefined(directory: Path | None, root: Path | None) -> None:
    """Show files without an entry, and entries without a file.

    TREE is a mounted tree or a /sys; without it the trees of the bundled boards are looked at together. With --directory all files
    of TREE are to have an entry there.
    """
    if root is not None and not root.is_dir():
        raise click.UsageError(f"{root} is no directory; give a mounted tree or /sys")
    if directory is not None and root is None:
        raise click.UsageError("--directory has entries of another tree; name that tree too: undefined TREE")
    report(tree.undefined(root, None if directory is None else tree.declared(directory)))


@abi.command("check")
@click.argument("word", required=False)
def check_(word: str | None) -> None:
    """Hold the entries (those whose path has WORD) against a machine.

    Each file is read and written as root and as another user: least and greatest value, one beyond, bad text; each ioctl of VFIO is
    called with good and bad arguments.
    """
    from hidma.commands.abi.check import check

    docs = tree.declared() if word is None else tuple(tree.find(word))
    if not docs:
        raise click.UsageError(f"nothing in the tree is called {word!r}; 'hidma abi list' shows what there is")
    click.echo(entries(len(docs)), err=True)
    report(check(docs))


@abi.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("docs/abi/testing"),
              show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; say what is not up to date, exit 1 then.")
def generate(output: Path, check: bool) -> None:
    """Write the entries in the kernel's own format."""
    if check:
        report(tree.stale(output))
    try:
        with output_directory(output) as place:
            made = tree.generate(place)
    except OSError as error:
        click.echo(f"hidma abi: {output} cannot be written: {error.strerror}", err=True)
        sys.exit(2)
    click.echo("\n".join(str(output / path.name) for path in made))
