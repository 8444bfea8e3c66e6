"""From the command line of `record` to a target, a tool and its options."""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tailflame.cli.exit_codes import UsageError
from tailflame.errors import TargetError
from tailflame.host.binary import binary_facts, check_runnable
from tailflame.host.cargo import CargoProject, project_root, read_project
from tailflame.host.system import Host
from tailflame.tools import (
    CARGO_FLAMEGRAPH,
    PERF_RECORD,
    CallGraph,
    CargoKind,
    CargoOptions,
    PerfOptions,
    Plan,
    Target,
)

Number = TypeVar("Number", int, float)
_KINDS = (CargoKind.BIN, CargoKind.EXAMPLE, CargoKind.TEST, CargoKind.BENCH)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be recorded, and how. `plan` makes the plan for a session's folder."""

    tool: str
    target: Target
    options: PerfOptions | CargoOptions
    plan: Callable[[Path], Plan]


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """What `wish_of` reads."""
    add = parser.add_argument
    add("-d", "--duration", type=float, metavar="SECONDS", help="stop after this long (until it ends)")
    add("-F", "--frequency", type=int, metavar="HZ", help="samples per second of CPU time (1999)")
    add("-e", "--event", metavar="EVENTS", help="events to sample, separated by commas (cycles, or what works here)")
    add(
        "-g",
        "--call-graph",
        choices=[c.value for c in CallGraph],
        help="how stacks are walked (fp where the program keeps frame pointers, else dwarf)",
    )
    add("--stack-size", type=int, metavar="BYTES", help="with dwarf: stack copied per sample (8192)")
    add("--off-cpu", action="store_true", help="also how long threads wait, and where (needs the tracepoints: root)")
    add("-C", "--directory", metavar="DIR", help="the program's working directory; the project's, for cargo flamegraph")
    add("-E", "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable for the program")
    cargo = parser.add_argument_group("cargo flamegraph", "build a target of a cargo project and record it")
    chosen = cargo.add_mutually_exclusive_group()
    for kind in _KINDS:
        chosen.add_argument(f"--{kind.value}", metavar="NAME", help=f"record this {kind.value}")
    cargo.add_argument("--cargo", action="store_true", help="record the project's only binary")
    cargo.add_argument("--package", metavar="NAME", default="", help="of this package")
    cargo.add_argument("--cargo-profile", metavar="NAME", default="", help="built with this profile (release)")
    cargo.add_argument("--features", metavar="LIST", default="", help="with these features, separated by commas")


def wish_of(args: argparse.Namespace, words: list[str], host: Host) -> Wish:
    """`words` are the program and its arguments; for cargo flamegraph the arguments alone.

    UsageError for what contradicts itself; TargetError where the program cannot be recorded at all.
    """
    env = environment_of(args.env)
    cwd = Path(args.directory).absolute() if args.directory else None
    if cwd is not None and not cwd.is_dir():
        raise UsageError(f"{args.directory} is not a folder.")
    kind = next((kind for kind in _KINDS if getattr(args, kind.value)), None)
    if kind is not None or args.cargo:
        return _cargo(args, words, host, kind or CargoKind.BIN, cwd, env)
    for name in ("package", "cargo_profile", "features"):
        if getattr(args, name):
            raise UsageError(
                f"--{name.replace('_', '-')} is for cargo flamegraph.", advice="Name a --bin, or add --cargo."
            )
    if not words:
        raise UsageError("Which program?", advice="tailflame record [options] -- PROGRAM ARGUMENTS")
    target = Target(binary=_program(words[0]), args=tuple(words[1:]), cwd=cwd, env=env)
    check_runnable(target.binary)
    options = _perf_options(args, target, host)
    return Wish(PERF_RECORD.name, target, options, lambda out: PERF_RECORD.plan(target, options, out))


def environment_of(items: list[str]) -> dict[str, str]:
    env = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"“{item}” does not set a variable.", advice="Write it as NAME=VALUE.")
        env[name] = value
    return env


def _program(word: str) -> Path:
    """As a shell finds it: a path where it has a slash, else on PATH, else in this folder."""
    found = None if "/" in word else shutil.which(word)
    return Path(found or word).absolute()


def _perf_options(args: argparse.Namespace, target: Target, host: Host) -> PerfOptions:
    options = replace(PERF_RECORD.defaults(host), off_cpu=args.off_cpu)
    if args.frequency is not None:
        options = replace(options, frequency=_positive(args.frequency, "--frequency"))
    if args.event:
        options = replace(options, events=tuple(name for name in args.event.split(",") if name))
    if args.stack_size is not None:
        options = replace(options, dwarf_stack=_positive(args.stack_size, "--stack-size"))
    if args.duration is not None:
        options = replace(options, duration_s=_positive(args.duration, "--duration"))
    if args.call_graph:
        return replace(options, call_graph=CallGraph(args.call_graph))
    # Frame pointers cost least where there are any; DWARF works for every program.
    pointers = binary_facts(target.binary).frame_pointers
    return replace(options, call_graph=CallGraph.FRAME_POINTERS if pointers else CallGraph.DWARF)


def _cargo(
    args: argparse.Namespace,
    words: list[str],
    host: Host,
    kind: CargoKind,
    cwd: Path | None,
    env: dict[str, str],
) -> Wish:
    folder = project_root(cwd or Path.cwd())
    if folder is None:
        raise TargetError(
            f"There is no cargo project in {cwd or Path.cwd()}.", advice="Go to the project, or name it with -C."
        )
    project = read_project(folder)
    name = getattr(args, kind.value) or _only_binary(project)
    profile = args.cargo_profile or ("bench" if kind is CargoKind.BENCH else "release")
    options = replace(
        CARGO_FLAMEGRAPH.defaults(host),
        project=project.folder,
        kind=kind,
        name=name,
        package=args.package,
        profile=args.cargo_profile,
        features=tuple(feature for feature in args.features.split(",") if feature),
    )
    if args.off_cpu:
        raise UsageError("cargo flamegraph records no time off the CPU.", advice="Record the binary with perf for it.")
    if args.frequency is not None:
        options = replace(options, frequency=_positive(args.frequency, "--frequency"))
    if args.event:
        if "," in args.event:
            raise UsageError("cargo flamegraph samples one event.", advice="Record the binary with perf for several.")
        options = replace(options, event=args.event)
    if args.stack_size is not None:
        options = replace(options, dwarf_stack=_positive(args.stack_size, "--stack-size"))
    if args.duration is not None:
        options = replace(options, duration_s=_positive(args.duration, "--duration"))
    if args.call_graph:
        options = replace(options, call_graph=CallGraph(args.call_graph))
    binary = _built_at(project, kind, name, profile)
    target = Target(binary=binary, args=tuple(words), cwd=project.folder, env=env)
    return Wish(CARGO_FLAMEGRAPH.name, target, options, lambda out: CARGO_FLAMEGRAPH.plan(target, options, out))


def _only_binary(project: CargoProject) -> str:
    names = [target.name for target in project.targets if target.kind == CargoKind.BIN.value]
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise UsageError(f"The project has not one binary but {listed}.", advice="Name one with --bin.")
    return names[0]


def _built_at(project: CargoProject, kind: CargoKind, name: str, profile: str) -> Path:
    """Where cargo puts the program, which tells whose session it is. A test gets a hash, which no baseline minds."""
    folder = project.target_folder / {"dev": "debug", "test": "debug", "bench": "release"}.get(profile, profile)
    if kind is CargoKind.EXAMPLE:
        return folder / "examples" / name
    return folder / name if kind is CargoKind.BIN else folder / "deps" / name


def _positive(value: Number, name: str) -> Number:
    if not 0 < value < math.inf:
        raise UsageError(f"{name} must be above zero.")
    return value
