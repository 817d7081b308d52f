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
from hidma.commands.abi.entries import render, validate, whats
from hidma.commands.abi.texts import AbiDoc


def as_dict(doc: AbiDoc) -> dict[str, Any]:
    """An entry for programs."""
    return {
        "what": whats(doc),
        "mode": f"0{doc.mode:o}",
        "date": doc.date,
        "kernel_version": doc.kernel_version,
        "contact": doc.contact,
        "description": doc.description,
        "users": doc.users,
        "values": doc.values,
        "errors": dict(doc.errors),
        "driver": doc.driver,
    }


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def abi(ctx: click.Context) -> None:
    """Documentation of the files of the tree, checked against it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@abi.command("list")
@click.option("--driver", help="Only the files of this driver (hidma-mgmt, hidma, core).")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(driver: str | None, as_json: bool) -> None:
    """List the entries."""
    docs = [d for d in tree.declared() if driver in (None, d.driver)]
    if driver is not None and not docs:
        names = ", ".join(sorted({d.driver for d in tree.declared()}))
        raise click.UsageError(f"no driver {driver!r} has a file; there are {names}")
    if as_json:
        click.echo(json.dumps([as_dict(d) for d in docs], indent=1))
        return
    for doc in docs:
        for path in doc.what:
            click.echo(f"0{doc.mode:o}  {doc.driver:<11} {path}")


@abi.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(path: str, as_json: bool) -> None:
    """Show the entry of PATH: a path of the tree, one with wildcards, or a part of one."""
    docs = tree.find(path)
    if not docs:
        click.echo(f"hidma abi: nothing in the tree is called {path!r}; 'hidma abi list' shows what there is", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps([as_dict(d) for d in docs], indent=1))
        return
    for number, doc in enumerate(docs):
        click.echo(("\n" if number else "") + render(doc), nl=False)
        for command, lines in tree.examples(doc):
            click.echo(f"Example:\t# {command}")
            click.echo("".join(f"\t\t{line}\n" for line in lines), nl=False)


@abi.command()
@click.argument("regex")
def search(regex: str) -> None:
    """Show the entries that REGEX (of Python's kind) is found in."""
    try:
        wanted = re.compile(regex, re.IGNORECASE)
    except re.error as error:
        raise click.UsageError(f"{regex!r} is no regular expression: {error}") from None
    docs = [d for d in tree.declared() if wanted.search(render(d))]
    for doc in docs:
        click.echo(f"{doc.what[0]}: {' '.join(doc.description.split())[:100]}")
    if not docs:
        sys.exit(1)


@abi.command("validate")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Also report what is not in the style of Documentation/ABI/README.")
def validate_(files: tuple[Path, ...], strict: bool) -> None:
    """Check FILES of entries (those of the attributes when there are none): mistakes, with file and line.

    What the kernel's own parser takes is taken; --strict is for entries that are new.
    """
    if files:
        chosen = [
            p
            for f in files
            for p in (sorted(f.rglob("*")) if f.is_dir() else [f])
            if not p.is_dir() and p.name != "README"
        ]
        problems = validate(chosen, strict)
        count = tree.entries_in([p for p in chosen if p.is_file()])
    else:
        import tempfile

        with tempfile.TemporaryDirectory() as out:
            written = tree.generate(Path(out))
            problems = validate(written, strict)
            count = tree.entries_in(written)
    for problem in problems:
        click.echo(str(problem))
    click.echo(f"{count} entries, {len(problems)} problem{'' if len(problems) == 1 else 's'}", err=True)
    sys.exit(1 if problems else 0)


@abi.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path))
def undefined(directory: Path | None) -> None:
    """Show files without an entry, and entries without a file.

    DIRECTORY is a mounted tree or a /sys; without it the trees of the bundled boards are looked at together.
    """
    if directory is not None and not directory.is_dir():
        raise click.UsageError(f"{directory} is no directory; give a mounted tree or /sys")
    lines = tree.undefined(directory)
    for line in lines:
        click.echo(line)
    sys.exit(1 if lines else 0)


@abi.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("docs/abi/testing"),
    show_default=True,
)
@click.option("--check", is_flag=True, help="Write nothing; say what is not up to date, exit 1 then.")
def generate(output: Path, check: bool) -> None:
    """Write the entries in the kernel's own format."""
    if check:
        lines = tree.stale(output)
        for line in lines:
            click.echo(line)
        sys.exit(1 if lines else 0)
    try:
        for path in tree.generate(output):
            click.echo(str(path))
    except OSError as error:
        click.echo(f"hidma abi: {output} cannot be written: {error.strerror}", err=True)
        sys.exit(2)
