# SPDX-License-Identifier: GPL-2.0-only
"""Each method and function of the compiled modules is called with objects that live, but not where it looks for them: of this
machine, another one, a closed one, one that has stopped; freed; in a thread, in a signal handler, in a garbage collection; and is
pickled and copied. Each call is made in a process of its own. ``foreign.py FIRST LAST`` does it once for each seed and prints
how many calls there were, and each that crashed.
"""

from __future__ import annotations

import copy
import gc
import inspect
import json
import pickle
import random
import re
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import half_made

import hidma
from hidma.linux import sched
from hidma.linux.sched import KernelOops

NUMBERS = (0, 1, -1, 7, 64, 4096, 0x80000000, 0xFFFFFFFF, 1 << 40)
MOST = 40  # instances of a class
kept: list[hidma.Channel] = []


def machines() -> list[hidma.Machine]:
    """One that runs, one beside it, one that is closed, one that has stopped, one whose driver has freed what it had."""
    made = [hidma.boot(seed=seed, cpus=2) for seed in range(5)]
    for machine in made:
        chan = machine.dma.request_channel()
        buffers = [machine.alloc(64) for _ in range(2)]
        chan.memcpy(*buffers).wait()
        chan.memcpy(*buffers)
        chan.memcpy_batch([buffers[0].address] * 3, [buffers[1].address] * 3, [8] * 3)
    made[2].close()
    with made[3].running() as kernel, suppress(KernelOops):
        kernel.die(KernelOops("BUG: on purpose"))
    release_all(made[4])
    return made


def release_all(machine: hidma.Machine) -> None:
    """Unload the driver; the channels of the client keep what it has freed."""
    kept.extend(machine.dma.requested)
    for channel in list(machine.dma.requested):
        channel.release()
    machine.rmmod("hidma")


def pool(modules: list[ModuleType]) -> dict[str, list[Any]]:
    """Objects of the compiled classes by class, of all machines."""
    found = defaultdict(list)
    names = {cls for module in modules for cls in half_made.classes(module)}
    for thing in gc.get_objects():
        if type(thing) in names:
            found[type(thing).__name__].append(thing)
    dice = random.Random(0)
    return {name: dice.sample(things, min(len(things), MOST)) for name, things in sorted(found.items())}


def argument(parameter: inspect.Parameter, things: dict[str, list[Any]], dice: random.Random) -> Any:
    """Something for a parameter: mostly of its type."""
    kinds = re.findall(r"\w+", str(parameter.annotation))
    fitting = [kind for kind in kinds if kind in things]
    if fitting and dice.random() < 0.9:
        return dice.choice(things[dice.choice(fitting)])
    if "int" in kinds and dice.random() < 0.9:
        return dice.choice(NUMBERS)
    if "str" in kinds and dice.random() < 0.9:
        return dice.choice(("", "hidma.0", "é" * 9))
    return dice.choice((None, 0, "text", lambda *_: 0, dice.choice(things[dice.choice(list(things))])))


def in_a_thread(call: Callable[[], Any]) -> Any:
    thread = threading.Thread(target=lambda: half_made.quietly(call))
    thread.start()
    thread.join()
    return call()


def in_a_signal_handler(call: Callable[[], Any]) -> Any:
    signal.signal(signal.SIGUSR1, lambda *_: call())
    signal.raise_signal(signal.SIGUSR1)


def in_a_garbage_collection(call: Callable[[], Any]) -> Any:
    class Cycle:
        def __del__(self) -> None:
            call()

    cycle: Any = Cycle()
    cycle.itself = cycle
    del cycle
    gc.collect()


def in_a_callback(machine: hidma.Machine) -> Callable[[Callable[[], Any]], Any]:
    def run(call: Callable[[], Any]) -> Any:
        machine.dma.request_channel().memcpy(machine.alloc(8), machine.alloc(8), callback=lambda transfer: call()).wait()
        machine.run(1000)

    return run


def on_the_machine(machine: hidma.Machine) -> Callable[[Callable[[], Any]], Any]:
    def run(call: Callable[[], Any]) -> Any:
        with machine.running():
            half_made.quietly(call)
        machine.run(1000)

    return run


def where_no_kernel_runs(call: Callable[[], Any]) -> Any:
    sched.set_running(sched.no_cpu)
    return call()


def functions(modules: list[ModuleType]) -> Iterator[tuple[str, type | None, str, Any]]:
    """Each method and function: name, class, name in it, object."""
    for module in modules:
        for cls in half_made.classes(module):
            for name in dir(cls):
                if not name.startswith("__") or name in ("__reduce__", "__init__", "__len__", "__iter__", "__next__"):
                    yield f"{module.__name__}.{cls.__name__}.{name}", cls, name, getattr(cls, name)
        for name, function in vars(module).items():
            if callable(function) and not inspect.isclass(function) and getattr(function, "__module__", "") == module.__name__:
                yield f"{module.__name__}.{name}", None, name, function


def parameters(function: Any) -> list[inspect.Parameter]:
    """What a function takes; four of unknown type where it does not say."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [inspect.Parameter(f"p{n}", inspect.Parameter.POSITIONAL_ONLY) for n in range(4)]


def calls(modules: list[ModuleType], seed: int, made: list[hidma.Machine], things: dict[str, list[Any]],
          ) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A call of each, somewhere, with something; and a copy of an object of each class."""
    dice = random.Random(seed)
    places = [where_no_kernel_runs, in_a_thread, in_a_signal_handler, in_a_garbage_collection,
              *(place(machine) for machine in made for place in (on_the_machine, in_a_callback))]
    for full, cls, name, function in functions(modules):
        wanted = parameters(function)
        if cls is not None:
            wanted = wanted[1:]
            if cls.__name__ not in things:
                continue
            owner = dice.choice(things[cls.__name__])
        arguments = [argument(parameter, things, dice) for parameter in wanted
                     if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        place = dice.choice(places)

        def call(cls: Any = cls, name: str = name, function: Any = function, arguments: Any = arguments,
                 owner: Any = owner if cls is not None else None) -> Any:
            if cls is None:
                return function(*arguments)
            there = getattr(owner, name)
            return there(*arguments) if callable(there) else setattr(owner, name, arguments[0] if arguments else None)

        yield f"{full} {place.__qualname__.split('.')[0]} {arguments}", lambda place=place, call=call: place(call)  # type: ignore[misc]
    for name, each in things.items():
        thing = dice.choice(each)
        yield f"pickle {name}", lambda thing=thing: pickle.loads(pickle.dumps(thing))  # type: ignore[misc]
        yield f"copy {name}", lambda thing=thing: copy.copy(thing)  # type: ignore[misc]
        yield f"deepcopy {name}", lambda thing=thing: copy.deepcopy(thing)  # type: ignore[misc]


def main() -> int:
    built = json.loads((Path(hidma.__file__).parent / "_built.json").read_text())
    modules = half_made.compiled_modules(built)
    made = machines()
    things = pool(modules)
    gc.collect()
    gc.freeze()  # a collection in a child is then one of what it has made
    crashed = []
    count = 0
    for seed in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        for name, call in calls(modules, seed, made, things):
            count += 1
            if not half_made.survives(call):
                crashed.append(f"seed {seed}: {name}")
    print(f"{count} calls, {len(crashed)} crashed")
    print("\n".join(crashed), end="")
    return bool(crashed)


if __name__ == "__main__":
    sys.exit(main())
