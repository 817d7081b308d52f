# SPDX-License-Identifier: GPL-2.0-only
"""``tools/fuzz TARGET --seconds N``: fuzzes a target with atheris, in processes of their own. It stands for no C file."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from hidma.commands.extras import requires
from hidma.commands.fuzz.targets import TARGETS, Target
from hidma.commands.main import main
from hidma.commands.options import FAILED, STOPPED, print_error
from hidma.commands.output import Scratch

#: MiB that the process of a target may have.
MEMORY = 2048
EVERY = 10.0  # seconds between two lines of progress
PULSE = re.compile(r"#(\d+)\s+[\w-]+\s+(?:cov: \d+ )?ft: (\d+)|#(\d+)\s+DONE|stat::number_of_executed_units:\s+(\d+)")


@dataclass
class Result:
    """What a run found.

    :ivar runs: inputs that were tried
    :ivar features: of coverage, as libFuzzer counts them
    :ivar crashes: files of inputs that are faults
    """

    target: str
    seconds: float = 0.0
    runs: int = 0
    features: int = 0
    crashes: list[str] = field(default_factory=list)
    stopped: bool = False

    def __str__(self) -> str:
        count = len(self.crashes)
        return (f"{self.target}: {self.runs} runs in {self.seconds:.0f} s, {self.features} features, "
                f"{count} crash{'' if count == 1 else 'es'}")


def again(name: str, path: Path) -> str:
    return f"tools/fuzz {name} {path} runs it again"


def new_inputs(crashes: Path, before: set[str]) -> list[Path]:
    """The inputs in a directory that were not there before, without the tracebacks beside them."""
    return sorted(path for path in crashes.iterdir() if path.name not in before and path.suffix != ".txt")


def fuzz(name: str, target: Target, seconds: int, crashes: Path) -> Result:
    """Fuzz one target.

    :param seconds: real time that it takes
    :param crashes: directory for the inputs that are faults
    """
    result = Result(name)
    crashes.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in crashes.iterdir()}
    begin = time.monotonic()
    with Scratch(prefix="hidma-fuzz-") as place:
        corpus = Path(place, "corpus")
        corpus.mkdir()
        for number, data in enumerate(target.inputs()):
            Path(corpus, str(number)).write_bytes(data)
        while (left := int(seconds - (time.monotonic() - begin))) > 0 and not result.stopped:
            command = [sys.executable, "-P", "-m", "hidma.commands.fuzz.worker", name, str(crashes),
                       f"-max_total_time={left}", f"-max_len={target.longest}", "-timeout=60", "-report_slow_units=60",
                       f"-rss_limit_mb={MEMORY}",
                       "-print_final_stats=1", f"-artifact_prefix={crashes}/", str(corpus)]
            if worker(command, result, begin, before, crashes, place):
                break
    result.seconds = time.monotonic() - begin
    found = new_inputs(crashes, before)
    result.crashes = [str(path) for path in found]
    for path in found:
        with open(path.with_suffix(".txt"), "a", encoding="utf-8") as said:
            said.write(f"{again(name, path)}\n")
    return result


def worker(command: Sequence[str], result: Result, begin: float, before: set[str], crashes: Path,
           temporary: str) -> bool:
    """Run the process, and add what it says to the result; whether it ended as it should.

    :param temporary: directory of what it leaves behind: libFuzzer ends a process as C does
    """
    earlier, told, last = result.runs, 0.0, ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8", errors="replace",
                          start_new_session=True, env=os.environ | {"TMPDIR": temporary}) as child:
        assert child.stderr is not None
        while True:
            try:
                for line in child.stderr:
                    last = line.strip() or last
                    found = PULSE.match(line)
                    if found:
                        result.runs = earlier + int(found[1] or found[3] or found[4])
                        result.features = max(result.features, int(found[2] or 0))
                    result.seconds = time.monotonic() - begin
                    if result.seconds - told >= EVERY:
                        told = result.seconds
                        result.crashes = [str(path) for path in new_inputs(crashes, before)]
                        click.echo(f"fuzz: {result}", err=True)
                break
            except KeyboardInterrupt:
                result.stopped = True
                child.send_signal(signal.SIGINT)
    if result.runs == earlier and child.returncode and not result.stopped:
        raise click.ClickException(f"the process that fuzzes ended with status {child.returncode}: {last}")
    return child.returncode == 0


def rerun(target: Target, path: Path) -> int:
    """Run one input as the tests do; a fault comes out as it is."""
    target.run(path.read_bytes())
    click.echo(f"{path}: no fault")
    return 0


@click.command("fuzz", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(1), help="How long.")
@click.option("--crashes", type=click.Path(path_type=Path, file_okay=False), default=Path("crashes"), show_default=True,
              help="Directory for the inputs that are faults, one below it for each target.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.argument("name", required=False, metavar="TARGET")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[FILE]...")
def command(name: str | None, files: tuple[Path, ...], seconds: int, crashes: Path, as_json: bool) -> int:
    """Feed a reader with random input (atheris, the extra `fuzz`), or run the inputs of FILES again.

    A fault is any exception that the reader does not document, a hang, a crash. Each is written below --crashes, with the traceback
    beside it. Exit status 1 when there is one. Without a TARGET they are listed.
    """
    if name is None:
        for each, target in TARGETS.items():
            click.echo(f"{each:<9} {target.run.__doc__}")
        return 0
    if name not in TARGETS:
        raise click.UsageError(f"there is no target {name!r}; there are {', '.join(TARGETS)}")
    if files:
        return max(rerun(TARGETS[name], path) for path in files)
    with requires("fuzz", f"a Python that atheris has no wheel for (this is {sys.version.split()[0]}) runs saved inputs only: "
                          "tools/fuzz TARGET FILE"):
        import atheris  # noqa: F401
        import unidiff  # noqa: F401
    result = fuzz(name, TARGETS[name], seconds, crashes / name)
    click.echo(json.dumps(asdict(result)) if as_json else str(result))
    for path in result.crashes:
        print_error(again(name, Path(path)))
    return STOPPED if result.stopped else FAILED if result.crashes else 0


if __name__ == "__main__":
    sys.exit(main(command=command, name="fuzz"))
