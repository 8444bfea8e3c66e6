"""bpftrace: recipes that ask the kernel one question each, and programs of one's own, launched or attached.

`-o FILE` keeps the program's own output out of the result, and `-B line` lets the file grow as it goes. bpftrace splits
what it starts (-c) at blanks, and knows no quotes: where a word holds one, `env -S` puts the words together again.
"""

from __future__ import annotations

import ctypes.util
import os
import re
import signal
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tailflame.errors import TailflameError, TargetError, ToolFailed
from tailflame.host.install import install_command
from tailflame.host.system import Host, find_tool
from tailflame.parse.bpftrace_bundled import recipe_named, recipes
from tailflame.parse.bpftrace_recipe import ENVIRONMENT, Parameter, Recipe, compose
from tailflame.tools.base import (
    Capabilities,
    Capability,
    Family,
    OptionField,
    OptionKind,
    Plan,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.bpftrace_words import explained
from tailflame.tools.findings import Finding, Level

OWN = "own"
"""The choice of RECIPE that takes a program of one's own."""
RESULT = "bpftrace.json"
_EVENTS = Path("/sys/kernel/tracing/events")
_UPROBES = Path("/sys/bus/event_source/devices/uprobe")
_KPROBES = Path("/sys/kernel/tracing/kprobe_events")
_KINDS = {"number": OptionKind.WHOLE, "choice": OptionKind.CHOICE}
# "ERROR: Unknown error -1: couldn't set RLIMIT_MEMLOCK ...", "stdin:1:2-3: WARNING: ..."
_OWN_LINES = re.compile(r"^(ERROR: |WARNING: |[^:\n]+:\d+(:\d+)?-\d+: (ERROR|WARNING): |Attaching \d+ probe|~+$)")


def offered() -> tuple[Recipe, ...]:
    """The recipes that are recorded with bpftrace: not those that Tailflame answers better by other means."""
    return tuple(recipe for recipe in recipes() if not recipe.instead)


def _recipe_field() -> OptionField:
    choices = [(recipe.name, f"{recipe.title}: {recipe.question}") for recipe in offered()]
    return OptionField(
        name="recipe",
        title="Recipe",
        tip="The question that is asked.",
        kind=OptionKind.CHOICE,
        default=choices[0][0],
        choices=(*choices, (OWN, "A program of your own, from a file.")),
    )


RECIPE = _recipe_field()
PROGRAM = OptionField(
    name="program",
    title="Program",
    tip="A file with a bpftrace program. It runs as root: read it first.",
    kind=OptionKind.TEXT,
    default="",
    only_with=("recipe", OWN),
)


def option_name(recipe: Recipe, parameter: Parameter) -> str:
    """What a recipe's parameter is called among the options: `calls-symbol`."""
    return f"{recipe.name}-{parameter.name.replace('_', '-')}"


def _field(recipe: Recipe, parameter: Parameter, default: str) -> OptionField:
    kind = _KINDS.get(parameter.kind, OptionKind.TEXT)
    return OptionField(
        name=option_name(recipe, parameter),
        title=parameter.title,
        tip=parameter.tip,
        kind=kind,
        default=int(default) if kind is OptionKind.WHOLE else default,
        choices=tuple((word, word) for word in parameter.words),
        low=parameter.low,
        high=parameter.high,
        unit=parameter.unit,
        only_with=("recipe", recipe.name),
    )


@cache
def libc_path() -> str:
    """The C library's file, "" where it is not found: programs that start here will map it."""
    name = ctypes.util.find_library("c") or "libc.so.6"
    machine = os.uname().machine
    for folder in (f"/usr/lib/{machine}-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib"):
        path = Path(folder, name)
        if path.is_file():
            return str(path.resolve())
    return ""


def given_values(recipe: Recipe, values: Mapping[str, object], binary: Path) -> dict[str, object]:
    """Parameters with what stands for them where nothing was said: the program itself for a file, and the C library
    for that of an allocator.
    """
    found = {**{parameter.name: parameter.default for parameter in recipe.parameters}, **values}
    for parameter in recipe.parameters:
        if parameter.kind == "file" and not found[parameter.name]:
            found[parameter.name] = libc_path() if recipe.name == "malloc" else str(binary)
    return found


def impossible(recipe: Recipe) -> str:
    """Why a recipe cannot work on this kernel, "" where it can or nobody knows. Looks into /sys."""
    for need in recipe.needs:
        kind, _, rest = need.partition(":")
        match kind:
            case "tracepoint":
                group, _, name = rest.partition(":")
                if os.access(_EVENTS, os.X_OK) and not (_EVENTS / group / name).is_dir():
                    return f"this kernel has no tracepoint {rest}"
            case "uprobe":
                if not _UPROBES.exists():
                    return "this kernel was built without uprobes (CONFIG_UPROBE_EVENTS)"
            case "kprobe":
                if os.access(_KPROBES.parent, os.X_OK) and not _KPROBES.exists():
                    return "this kernel was built without kprobes (CONFIG_KPROBES)"
    return ""


def program_argv(
    program: tuple[str, ...], out: Path | None, *, start: tuple[str, ...] = (), pid: int | None = None
) -> tuple[str, ...]:
    """How bpftrace is called. program: ("-e", TEXT) or a file. out: None for stdout. start, pid: one of them."""
    argv = ["bpftrace", "-f", "json", "-B", "line"]
    if out is not None:
        argv += ["-o", str(out)]
    if pid is not None:
        argv += ["-p", str(pid)]
    elif start:
        argv += ["-c", child_command(start)]
    return (*argv, *program)


def child_command(argv: tuple[str, ...]) -> str:
    """The value of -c. bpftrace splits it at blanks, whatever quotes say."""
    if not any(word == "" or " " in word for word in argv):
        return " ".join(argv)
    return "/usr/bin/env -S" + "\\_".join(f'"{_for_env(word)}"' for word in argv)


# What env -S reads within double quotes. "\_" is a blank that bpftrace does not see.
_ENV_ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", " ": "\\_", "\t": "\\t", "\n": "\\n", "\r": "\\r", "#": "\\#"}


def _for_env(word: str) -> str:
    return "".join(_ENV_ESCAPES.get(letter, letter) for letter in word)


class Bpftrace:
    """Asks the kernel what a program does, by small programs that count in the kernel itself."""

    name = "bpftrace"
    title = "bpftrace"
    answers = "System calls, waits, faults, calls of a function: how often, how long, and from where?"
    cost = "A microsecond or two for each event that the recipe looks at."
    family = Family.KERNEL
    program = "bpftrace"
    launches = True
    attaches = True
    slow_down = SlowDown(typical=1.05, worst=112, worst_for="threads that do nothing but call a probed function")

    def probe(self, host: Host) -> Capabilities:
        if find_tool("bpftrace") is None:
            return Capabilities(False, "bpftrace is not installed", fix=install_command("bpftrace"))
        if host.uid != 0:
            return Capabilities(
                False,
                "bpftrace runs as root alone",
                fix="Attach to a running program on the Probes page: the installed helper asks for the password there.",
            )
        options = []
        for recipe in offered():
            reason = impossible(recipe)
            options.append(Capability(f"recipe={recipe.name}", not reason, reason))
        return Capabilities(True, options=tuple(options))

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (
            RECIPE,
            *(
                _field(recipe, parameter, _default(recipe, parameter))
                for recipe in offered()
                for parameter in recipe.parameters
            ),
            PROGRAM,
        )

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions()

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        result = out / RESULT
        return Plan(
            tool=self.name,
            argv=program_argv(_program(target, options), result, start=target.argv, pid=target.pid),
            target=target,
            out=out,
            artifacts={"result": result},
            primary="result",
            cwd=target.cwd,
            env=ENVIRONMENT,
            duration_s=options.duration_s,
            own_lines=_OWN_LINES,
            target_is=TargetIs.RUNNING if target.pid is not None else TargetIs.CHILD,
            stop_signal=signal.SIGINT if target.pid is not None else signal.SIGTERM,
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        if host.uid != 0:
            return (
                Finding(
                    Level.BLOCKER,
                    "bpftrace runs as root alone.",
                    "It loads programs into the kernel.",
                    "Start Tailflame as root, or attach on the Probes page with the installed helper.",
                ),
            )
        recipe = recipe_named(options.text(RECIPE))
        if recipe is not None:
            reason = impossible(recipe)
            if reason:
                return (Finding(Level.BLOCKER, f"“{recipe.title}” cannot work here: {reason}."),)
        try:
            _program(target, options)
        except TailflameError as problem:
            return (Finding(Level.BLOCKER, problem.sentence, problem.advice),)
        if recipe is None and not Path(options.text(PROGRAM)).is_file():
            return (Finding(Level.BLOCKER, f"There is no file {options.text(PROGRAM) or 'named'} with a program."),)
        found = [Finding(Level.NOTE, recipe.cost)] if recipe is not None and recipe.cost else []
        if recipe is not None and recipe.machine_wide:
            found.append(Finding(Level.NOTE, f"“{recipe.title}” sees the whole machine.", recipe.note))
        return tuple(found)

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return explained(output)


def _default(recipe: Recipe, parameter: Parameter) -> str:
    return libc_path() if recipe.name == "malloc" and parameter.kind == "file" else parameter.default


def _program(target: Target, options: ToolOptions) -> tuple[str, ...]:
    """What bpftrace is to run: ("-e", TEXT), or a file of one's own."""
    name = options.text(RECIPE)
    if name == OWN:
        file = options.text(PROGRAM)
        if not file:
            raise ToolFailed("A program of your own needs its file.", advice="--set program=FILE.bt")
        return (str(Path(file).absolute()),)
    recipe = recipe_named(name)
    if recipe is None:
        raise ToolFailed(f"There is no recipe {name!r}.", advice=f"One of: {', '.join(one.name for one in offered())}.")
    given = {
        parameter.name: options.values[option_name(recipe, parameter)]
        for parameter in recipe.parameters
        if option_name(recipe, parameter) in options.values
    }
    try:
        text = compose(recipe, given_values(recipe, given, target.binary), pid=target.pid, machine=os.uname().machine)
    except ValueError as problem:
        raise TargetError(f"“{recipe.title}” cannot be asked: {problem}.", advice=_advice(recipe)) from problem
    return ("-e", text)


def _advice(recipe: Recipe) -> str:
    asked = [f"--set {option_name(recipe, one)}=…" for one in recipe.parameters if not one.default]
    return f"It takes {', '.join(asked)}." if asked else ""
