"""tailflame probe"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from tailflame.analyse.reading import cautions
from tailflame.cli.command import Context, draw_flame_graph
from tailflame.cli.documents import result_document, session_document
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.figures import print_facts
from tailflame.cli.maps import maps_document, print_maps
from tailflame.cli.signals import stopped_by_signals
from tailflame.cli.terminal import add_row, plain_table
from tailflame.cli.wishes import environment_of
from tailflame.errors import ParseError, TargetError, ToolFailed
from tailflame.host.binary import check_runnable
from tailflame.host.functions import functions_of
from tailflame.host.running import find
from tailflame.live.permission import Permission
from tailflame.parse.bpftrace_bundled import recipe_named, recipes
from tailflame.parse.bpftrace_recipe import Recipe
from tailflame.run.bpftrace_run import ProbeEnded, ProbeRun, ProbeSeen, ProbeWish, attached_target
from tailflame.run.bpftrace_session import kept, new_session
from tailflame.store import Opened
from tailflame.tools import Target
from tailflame.tools.bpftrace import given_values, impossible
from tailflame.units import count, seconds

_LONGEST = 256 << 10


class ProbeCommand:
    """Ask the kernel one question about a program: system calls, waits, faults, calls of a function.

      tailflame probe                                       lists the recipes
      tailflame probe RECIPE [options] -- PROGRAM ARGUMENTS...
      tailflame probe RECIPE --pid PID|NAME [options]
      tailflame probe --program FILE.bt [--pid PID|NAME]    a bpftrace program of your own

    It runs until the program ends, --duration is over or Ctrl-C, and is kept as a session. bpftrace needs root: where
    you are not, the installed helper runs recipes on your running programs when you have given the password; a program
    of your own is asked for each time.

    JSON: {"session": as in `list`, "result", "maps": as in `show`}; without a recipe {"recipes": [{"name", "title",
    "question", "cost", "note", "impossible", "parameters": [{"name", "kind", "default", "tip"}]}]}; with --dry-run:
    {"argv", "program"}
    """

    name = "probe"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("recipe", metavar="RECIPE", nargs="?", default="", help="the question to ask")
        add("--program", metavar="FILE", default="", help="run this bpftrace program instead")
        add("--pid", metavar="PID|NAME", default="", help="look at a running program")
        add("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the recipe (repeatable)")
        add("-f", "--function", metavar="NAME", default="", help="the recipe's function, by its readable name")
        add("-d", "--duration", type=float, metavar="SECONDS", help="end after this long")
        add("-C", "--directory", metavar="DIR", help="a launched program's working directory")
        add("-E", "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable for it")
        add("--title", default="", help="what to call the session")
        add("--dry-run", action="store_true", help="print the program and the command that would run, and stop")
        add("-n", "--number", type=int, default=15, metavar="N", help="rows of each map to print (15)")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        if not args.recipe and not args.program:
            _list(context)
            return ExitCode.OK
        wish = _wish(args)
        if args.dry_run:
            return _dry_run(wish, context)
        if wish.recipe is not None and (reason := impossible(wish.recipe)):
            raise ToolFailed(f"“{wish.recipe.title}” cannot work here: {reason}.")
        if wish.recipe is not None and wish.recipe.cost:
            context.terminal.note(f"cost: {wish.recipe.cost}")
        if wish.recipe is not None and wish.recipe.instead:
            context.terminal.note("`tailflame live --function NAME` shows it over time, to 0.8 %.")
        session = new_session(context.library, wish, title=args.title)
        try:
            ended = asyncio.run(_follow(wish, session.path, context))
        except BaseException:
            context.library.discard(session)
            raise
        with context.terminal.progress("reading") as report:
            recording = kept(session, wish, ended, draw=draw_flame_graph, progress=report)
        info = context.library.session(session.id)
        terminal, maps = context.terminal, recording.maps
        assert maps is not None
        terminal.line(info.title, style="bold")
        print_facts(terminal, recording)
        terminal.line()
        print_maps(maps, terminal, number=max(args.number, 0))
        terminal.line()
        terminal.line(f"kept in {info.path}")
        terminal.document(
            {
                "session": session_document(info),
                "result": result_document(Opened(recording, info.title, info), cautions(recording)),
                "maps": maps_document(maps),
            }
        )
        return ExitCode.OK


def _list(context: Context) -> None:
    table = plain_table("recipe", "question", "takes")
    found: list[dict[str, Any]] = []
    for recipe in recipes():
        reason = impossible(recipe)
        asked = [one.name + ("*" if one.kind == "symbol" and not one.default else "") for one in recipe.parameters]
        question = f"{recipe.question} Not here: {reason}." if reason else recipe.question
        add_row(table, [Text(recipe.name, style="bold"), question, Text(", ".join(asked), style="dim")])
        found.append(
            {
                "name": recipe.name,
                "title": recipe.title,
                "question": recipe.question,
                "cost": recipe.cost,
                "note": recipe.note,
                "impossible": reason,
                "parameters": [
                    {"name": one.name, "kind": one.kind, "default": one.default, "tip": one.tip}
                    for one in recipe.parameters
                ],
            }
        )
    context.terminal.table(table)
    context.terminal.line()
    context.terminal.line("tailflame probe RECIPE -- PROGRAM ARGUMENTS, or --pid PID", style="dim")
    context.terminal.document({"recipes": found})


def _wish(args: argparse.Namespace) -> ProbeWish:
    if args.recipe and args.program:
        raise UsageError("A recipe and a program of your own are two things.", advice="Name one of them.")
    if args.duration is not None and not 0 < args.duration < 1e9:
        raise UsageError("--duration takes seconds above 0.")
    target = _target(args)
    if args.program:
        if args.set or args.function:
            raise UsageError("--set and --function are for recipes.")
        return ProbeWish(target=target, text=_text(Path(args.program)), duration_s=args.duration)
    recipe = recipe_named(args.recipe)
    if recipe is None:
        raise UsageError(
            f"There is no recipe “{args.recipe}”.", advice=f"One of: {', '.join(one.name for one in recipes())}."
        )
    if target is None:
        raise UsageError("Which program?", advice=f"tailflame probe {recipe.name} -- PROGRAM, or --pid PID.")
    values = _values(recipe, args, target)
    wish = ProbeWish(target=target, recipe=recipe, values=values, duration_s=args.duration)
    try:
        wish.program()
    except TargetError as problem:
        asked = ", ".join(f"--set {one.name}=…" for one in recipe.parameters)
        raise UsageError(problem.sentence, advice=f"It takes {asked}." if asked else "") from problem
    return wish


def _values(recipe: Recipe, args: argparse.Namespace, target: Target) -> dict[str, object]:
    values: dict[str, object] = {}
    for item in args.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"“{item}” sets nothing.", advice="Write --set NAME=VALUE.")
        values[name] = value
    if args.function:
        kinds = {one.kind: one.name for one in recipe.parameters}
        if "symbol" not in kinds:
            raise UsageError(f"“{recipe.title}” takes no function.")
        file = Path(str(given_values(recipe, values, target.binary).get(kinds.get("file", ""), "")))
        found = functions_of(file).match(args.function)
        if not found:
            raise TargetError(
                f"There is no function {args.function} in {file}.", advice="Inlined functions have no start to probe."
            )
        if len({one.symbol for one in found}) > 1:
            names = ", ".join(sorted({one.name for one in found})[:5])
            raise UsageError(f"“{args.function}” is the name of several functions: {names}.", advice="Name it in full.")
        values[kinds["symbol"]] = found[0].symbol
    return values


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ParseError(f"{path} cannot be read: {problem.strerror}.", source=str(path)) from problem
    if len(data) > _LONGEST:
        raise ParseError(f"{path} is longer than a program is.", source=str(path))
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        raise ParseError(f"{path} is no text.", source=str(path)) from problem


def _target(args: argparse.Namespace) -> Target | None:
    words = list(args.target)
    if args.pid and words:
        raise UsageError("--pid looks at a running program, and what follows -- starts one.")
    if args.pid:
        return attached_target(find(args.pid))
    if not words:
        return None
    found = None if "/" in words[0] else shutil.which(words[0])
    cwd = Path(args.directory).absolute() if args.directory else None
    target = Target(
        binary=Path(found or words[0]).absolute(), args=tuple(words[1:]), cwd=cwd, env=environment_of(args.env)
    )
    check_runnable(target.binary)
    return target


def _dry_run(wish: ProbeWish, context: Context) -> int:
    program, terminal = wish.program(), context.terminal
    terminal.line(program.rstrip("\n"), command=True)
    terminal.line()
    terminal.line(wish.command_line(), command=True)
    terminal.document({"argv": list(wish.argv()), "program": program})
    return ExitCode.OK


async def _follow(wish: ProbeWish, out: Path, context: Context) -> ProbeEnded:
    permission = Permission(terminal=sys.stdin.isatty())
    run = ProbeRun(wish, out, start_recipe=permission.recipe)
    context.terminal.note(f"running: {wish.command_line()}" if wish.recipe is None else "running (Ctrl-C stops)")
    ended: ProbeEnded | None = None
    try:
        with context.terminal.status_line() as status, stopped_by_signals(run.stop):
            async for update in run.updates():
                match update:
                    case ProbeSeen():
                        status.show(_progress(update))
                    case ProbeEnded():
                        ended = update
                    case _:
                        status.show("the probes are being put on")
    finally:
        await permission.close()
    if ended is None:
        raise ToolFailed("bpftrace has ended without a word.")
    return ended


def _progress(seen: ProbeSeen) -> str:
    keys = sum(len(one.rows) for one in seen.maps.maps)
    parts = [seconds(seen.elapsed_s), f"{len(seen.maps.maps)} maps, {count(keys)} keys"]
    if seen.maps.lost:
        parts.append(f"{count(seen.maps.lost)} lost")
    return "  ".join(parts)
