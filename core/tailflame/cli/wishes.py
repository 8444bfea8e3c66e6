"""From the command line of `record` to a target, a tool and its options."""

from __future__ import annotations

import argparse
import difflib
import functools
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tailflame import tools
from tailflame.cli.exit_codes import UsageError
from tailflame.cli.tool_options import values_for
from tailflame.errors import TargetError
from tailflame.host.binary import binary_facts, check_runnable
from tailflame.host.cargo import CargoProject, project_root, read_project
from tailflame.host.running import find
from tailflame.host.system import Host
from tailflame.tools import (
    CARGO_FLAMEGRAPH,
    PERF_RECORD,
    CallGraph,
    CargoKind,
    CargoOptions,
    FieldTool,
    PerfOptions,
    Plan,
    Target,
    Tool,
    ToolOptions,
    field_tool,
    tool_named,
)

Number = TypeVar("Number", int, float)
_KINDS = (CargoKind.BIN, CargoKind.EXAMPLE, CargoKind.TEST, CargoKind.BENCH)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be recorded, and how. `plan` makes the plan for a session's folder."""

    tool: str
    target: Target
    options: PerfOptions | CargoOptions | ToolOptions
    plan: Callable[[Path], Plan]


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """What `wishes_of` reads."""
    add = parser.add_argument
    add(
        "-t",
        "--tool",
        metavar="NAMES",
        default="",
        help="one or several, separated by commas: each records in turn (perf-record); see `tailflame tools`",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        dest="options",
        help="an option of the tool; TOOL.OPTION=VALUE for one of several (--help-options lists them)",
    )
    add("--tool-arg", action="append", default=[], metavar="ARG", help="a further argument for the tool itself")
    add("-p", "--pid", metavar="PID", default="", help="attach to a program that runs: its number or its name")
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


def wishes_of(args: argparse.Namespace, words: list[str], host: Host) -> tuple[Wish, ...]:
    """What each tool is to do, in turn. `words` as for `wish_of`.

    UsageError for what contradicts itself; TargetError where the program cannot be recorded at all.
    """
    names = [tool.name for tool in chosen_tools(args)]
    fields = [tool for name in names if (tool := field_tool(name)) is not None]
    sampled = len(fields) < len(names)
    if not fields and (args.options or args.tool_arg):
        raise UsageError(f"{PERF_RECORD.title} has no --set.", advice="Its options are in `tailflame record --help`.")
    if fields and not sampled:
        _refuse_sampling(args, fields[0])
    if any(getattr(args, kind.value) for kind in _KINDS) or args.cargo or not fields:
        if fields:
            raise UsageError(
                "cargo flamegraph cannot be one of several tools.", advice="Build the program, and name it."
            )
        return (wish_of(args, words, host),)
    target = target_of(args, words)
    values = values_for(fields, args.options, host)
    duration = None if args.duration is None else _positive(args.duration, "--duration")
    chosen = iter(zip(fields, values, strict=True))
    wishes = []
    for name in names:
        if name == PERF_RECORD.name:
            wishes.append(_sampled(args, target, host))
            continue
        tool, own = next(chosen)
        options = replace(tool.defaults(host), tool=name, duration_s=duration, extra=tuple(args.tool_arg))
        options = replace(options, values={**options.values, **own})
        wishes.append(Wish(name, target, options, functools.partial(tool.plan, target, options)))
    return tuple(wishes)


def chosen_tools(args: argparse.Namespace) -> tuple[Tool[Any], ...]:
    """The tools of --tool, in its order; perf record where it names none. UsageError for one that there is not."""
    names = [name for name in args.tool.split(",") if name] or [PERF_RECORD.name]
    known = [tool.name for tool in tools.TOOLS if tool.name != CARGO_FLAMEGRAPH.name]
    for name in names:
        if name == CARGO_FLAMEGRAPH.name:
            raise UsageError("cargo flamegraph is chosen by its target.", advice="Name a --bin, or add --cargo.")
        if name not in known:
            raise no_such_tool(name, known)
    return tuple(tool_named(name) for name in names)


def no_such_tool(name: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    return UsageError(f"There is no tool “{name}”.", advice=f"{meant}The tools are {', '.join(known)}.")


def _refuse_sampling(args: argparse.Namespace, tool: FieldTool) -> None:
    """What is for perf record alone."""
    for name, given in (
        ("--frequency", args.frequency), ("--event", args.event), ("--call-graph", args.call_graph),
        ("--stack-size", args.stack_size), ("--off-cpu", args.off_cpu),
    ):  # fmt: skip
        if given:
            advice = f"The options of {tool.title}: tailflame tools {tool.name}"
            raise UsageError(f"{name} is for {PERF_RECORD.title}.", advice=advice)


def target_of(args: argparse.Namespace, words: list[str]) -> Target:
    """The program of the command line, or the one that runs. Raises UsageError and TargetError."""
    env = environment_of(args.env)
    cwd = Path(args.directory).absolute() if args.directory else None
    if cwd is not None and not cwd.is_dir():
        raise UsageError(f"{args.directory} is not a folder.")
    if args.pid:
        if words or cwd is not None or env:
            raise UsageError(
                "A program that runs has its arguments, folder and variables already.",
                advice="Give --pid alone, or a program to start.",
            )
        process = find(args.pid)
        return Target(binary=process.binary or Path(process.name), args=tuple(process.command[1:]), pid=process.pid)
    if not words:
        raise UsageError("Which program?", advice="tailflame record [options] -- PROGRAM ARGUMENTS")
    target = Target(binary=_program(words[0]), args=tuple(words[1:]), cwd=cwd, env=env)
    check_runnable(target.binary)
    return target


def _sampled(args: argparse.Namespace, target: Target, host: Host) -> Wish:
    options = _perf_options(args, target, host)
    return Wish(PERF_RECORD.name, target, options, functools.partial(PERF_RECORD.plan, target, options))


def wish_of(args: argparse.Namespace, words: list[str], host: Host) -> Wish:
    """What perf record or cargo flamegraph is to do.

    `words` are the program and its arguments; for cargo flamegraph the arguments alone. Raises as `wishes_of`.
    """
    kind = next((kind for kind in _KINDS if getattr(args, kind.value)), None)
    if kind is not None or args.cargo:
        if args.pid:
            raise UsageError("cargo flamegraph starts what it has built.", advice="Leave --pid out, or the target.")
        env = environment_of(args.env)
        cwd = Path(args.directory).absolute() if args.directory else None
        if cwd is not None and not cwd.is_dir():
            raise UsageError(f"{args.directory} is not a folder.")
        return _cargo(args, words, host, kind or CargoKind.BIN, cwd, env)
    for name in ("package", "cargo_profile", "features"):
        if getattr(args, name):
            raise UsageError(
                f"--{name.replace('_', '-')} is for cargo flamegraph.", advice="Name a --bin, or add --cargo."
            )
    return _sampled(args, target_of(args, words), host)


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
    image = target.binary if target.pid is None else Path("/proc", str(target.pid), "exe")
    try:
        pointers = binary_facts(image).frame_pointers
    except TargetError:
        if target.pid is None:
            raise
        pointers = None  # of a running program the kernel may not tell which it is
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
