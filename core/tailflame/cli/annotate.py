"""tailflame annotate"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from tailflame.analyse.annotate import (
    CodePlace,
    LineCosts,
    code_places,
    files_of,
    instruction_costs,
    line_costs,
    lines_of,
    place_tree,
)
from tailflame.analyse.names import plain
from tailflame.analyse.tree import CallTree, TreeOptions
from tailflame.cli.command import Context, add_view_arguments, chosen_event, chosen_weight, profile_of, weight_word
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.terminal import Terminal
from tailflame.errors import StoreError, TailflameError
from tailflame.host.disassembly import FunctionCode
from tailflame.host.source_files import Found, SourceText
from tailflame.model import StackProfile
from tailflame.run.machine_code import read_code, read_lines
from tailflame.store import Opened

_AROUND = 2
"""Lines shown before and after those with a cost."""
_SUGGESTED = 5


class AnnotateCommand:
    """Show what each source line and each instruction of a function costs.

    RESULT is a result file, a session's name, its folder, "latest", "latest~1" or "baseline". FUNCTION is its whole
    name, or its last components where they tell it from the others. Instructions are in shares of the function's own
    samples, as `perf annotate` counts them. Source lines are in shares of the function's total: "self" is code written
    on the line, "total" adds what it inlines and calls.

    JSON: {"function", "event", "weight", "unit", "self", "total",
    "source": {"file", "path", "looked", "caution", "problem", "self", "total", "lines": [{"line", "text", "self",
    "with_inlined", "total", "inlined": [{"depth", "function", "file", "line", "self", "total"}]}]},
    "code": {"module", "binary", "symbol", "start", "stop", "caution", "problem", "self", "instructions": [{"address",
    "text", "self", "samples", "target", "callee"}]}}; "source" and "code" are left out where not asked for, null where
    the file does not tell
    """

    name = "annotate"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("result", metavar="RESULT", help="the result that holds the function")
        parser.add_argument("function", metavar="FUNCTION", help="its name, or the end of its name")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--source", action="store_true", help="source lines alone")
        which.add_argument("--asm", action="store_true", help="instructions alone")
        add_view_arguments(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        opened = context.open(args.result)
        profile = profile_of(opened)
        event = chosen_event(args.event, profile)
        weight = chosen_weight(args, profile, event)
        tree = place_tree(profile, TreeOptions(event=event, weight=weight))
        function = _function(tree, args.function)
        document: dict[str, Any] = {
            "function": function,
            "event": profile.events[event].name,
            "weight": weight_word(weight),
            "unit": tree.unit.value,
        }
        told = []
        if not args.asm:
            told.append(_source(tree, function, opened, context, document))
        if not args.source:
            told.append(_code(profile, tree, function, opened, context.terminal, document))
        context.terminal.document(document)
        if not any(told):
            raise StoreError(
                f"Neither source lines nor instructions of {function} can be shown.",
                advice="Record it with debug information: [profile.release] debug = true in Cargo.toml.",
            )
        return ExitCode.OK


def _function(tree: CallTree, asked: str) -> str:
    """The function that is meant; UsageError where there is none, or several."""
    names = tree.functions.names
    wanted = plain(asked.strip())
    total = np.bincount(tree.function, weights=tree.total_weight, minlength=len(names))
    weights: dict[str, float] = {}
    for name, weight in zip(names, total.tolist(), strict=True):
        weights[name] = weights.get(name, 0.0) + weight
    if wanted in weights:
        return wanted
    found = [name for name in weights if name.endswith(f"::{wanted}")] or [name for name in weights if wanted in name]
    found.sort(key=lambda name: -weights[name])
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"No function is called “{asked}”.", advice="`tailflame show RESULT` lists the hottest.")
    listed = ", ".join(found[:_SUGGESTED])
    more = f" and {len(found) - _SUGGESTED} more" if len(found) > _SUGGESTED else ""
    raise UsageError(f"“{asked}” is not one function.", advice=f"It may be {listed}{more}.")


def _source(tree: CallTree, function: str, opened: Opened, context: Context, document: dict[str, Any]) -> bool:
    """Prints the source lines; False where there is nothing to print."""
    terminal = context.terminal
    files = files_of(tree, function)
    if not files:
        document["source"] = None
        terminal.line(f"{function}: the result tells no source lines of it.")
        terminal.line("  Build with debug information: [profile.release] debug = true in Cargo.toml.", style="dim")
        return False
    costs = line_costs(tree, files[0], function=function)
    document |= {"self": costs.whole_own, "total": costs.whole}
    entry: dict[str, Any] = {
        "file": costs.file,
        "path": None,
        "looked": [],
        "caution": "",
        "problem": "",
        "self": float(costs.own.sum()),
        "total": costs.whole,
    }
    document["source"] = entry
    found: Found | None = None
    text: SourceText | None = None
    try:
        found, text = read_lines(
            costs.file, path_map=context.settings.source_map, roots=_roots(opened), binary=_module(tree, function)
        )
        entry |= {"path": str(found.path), "looked": list(found.looked), "caution": found.caution}
    except StoreError as missing:
        entry |= {"looked": missing.details.split("\n")[1:], "problem": missing.sentence}
        terminal.line(missing.sentence)
        terminal.line(f"  {missing.advice}", style="dim")
        for line in missing.details.splitlines():
            terminal.line(f"    {line}", style="dim")
    entry["lines"] = _line_rows(costs, text)
    _print_lines(terminal, costs, text, found, function, lines_of(tree, function))
    return True


def _line_rows(costs: LineCosts, text: SourceText | None) -> list[dict[str, Any]]:
    return [
        {
            "line": int(costs.line[row]),
            "text": _line_text(text, int(costs.line[row])),
            "self": float(costs.own[row]),
            "with_inlined": float(costs.body[row]),
            "total": float(costs.total[row]),
            "inlined": [
                {
                    "depth": depth,
                    "function": costs.inlined.names[at],
                    "file": costs.inlined.files[at],
                    "line": int(costs.inlined.place[at]) if costs.inlined.place[at] > 0 else None,
                    "self": float(costs.inlined.own[at]),
                    "total": float(costs.inlined.total[at]),
                }
                for at, depth in costs.inlined.below(row)
            ],
        }
        for row in range(len(costs))
    ]


def _line_text(text: SourceText | None, line: int) -> str | None:
    return text.lines[line - 1] if text is not None and 0 < line <= len(text.lines) else None


def _print_lines(
    terminal: Terminal,
    costs: LineCosts,
    text: SourceText | None,
    found: Found | None,
    function: str,
    seen: tuple[int, int],
) -> None:
    terminal.line()
    terminal.line(f"{function}", style="bold")
    terminal.line(str(found.path) if found is not None else costs.file, style="dim")
    if found is not None and found.caution:
        terminal.line(Text.assemble(("! ", "yellow"), found.caution))
    terminal.line("   self   total   line", style="dim")
    row_of = {int(line): row for row, line in enumerate(costs.line)}
    shown = sorted(row_of) if text is None else range(seen[0] - _AROUND, seen[1] + _AROUND + 1)
    last = len(text.lines) if text is not None else max(shown, default=0)
    for line in shown:
        if not 0 < line <= last:
            continue
        row = row_of.get(line)
        own = _share(costs.own[row], costs.whole) if row is not None else ""
        total = _share(costs.total[row], costs.whole) if row is not None else ""
        terminal.line(f"{own:>7} {total:>7}  {line:>5}  {_line_text(text, line) or ''}".rstrip())
        for at, depth in costs.inlined.below(row) if row is not None else ():
            place = f"{Path(costs.inlined.files[at]).name}:{costs.inlined.place[at]}"
            terminal.line(
                f"{_share(costs.inlined.own[at], costs.whole):>7} "
                f"{_share(costs.inlined.total[at], costs.whole):>7}  {'':>5}  {'  ' * depth}"
                f"└ {costs.inlined.names[at]}  {place}",
                style="dim",
            )


def _share(weight: float, whole: float) -> str:
    return f"{100 * weight / whole:.2f}%" if weight and whole else ""


def _code(
    profile: StackProfile,
    tree: CallTree,
    function: str,
    opened: Opened,
    terminal: Terminal,
    document: dict[str, Any],
) -> bool:
    """Prints the instructions; False where there is nothing to print."""
    places = code_places(profile, tree, function)
    if not places:
        document["code"] = None
        none = (
            "the result keeps no addresses of samples" if profile.sites is None else "no sample is in code of its own"
        )
        terminal.line(f"{function}: {none}.")
        return False
    place = places[0]
    entry: dict[str, Any] = {"module": place.module, "symbol": place.name, "problem": "", "self": place.total}
    document["code"] = entry
    try:
        code = read_code(place, opened.recording.meta)
    except TailflameError as problem:
        entry["problem"] = problem.sentence
        terminal.line(problem.sentence)
        terminal.line(f"  {problem.advice}", style="dim")
        return False
    listing = code.disassembly
    costs = instruction_costs(profile, tree, module=place.module, start=listing.symbol.start, stop=listing.symbol.stop)
    weights, samples = costs.on(listing.address, listing.stop)
    entry |= {
        "binary": str(code.binary),
        "start": listing.symbol.start,
        "stop": listing.symbol.stop,
        "caution": code.caution,
        "self": costs.total,
        "instructions": [
            {
                "address": int(listing.address[row]),
                "text": listing.text[row],
                "self": float(weights[row]),
                "samples": float(samples[row]),
                "target": int(listing.address[listing.target[row]]) if listing.target[row] >= 0 else None,
                "callee": listing.callee[row] or None,
            }
            for row in range(len(listing))
        ],
    }
    _print_code(terminal, place, code, weights, costs.total)
    return True


def _print_code(terminal: Terminal, place: CodePlace, code: FunctionCode, weights: Any, whole: float) -> None:
    listing = code.disassembly
    terminal.line()
    terminal.line(listing.symbol.name or place.name, style="bold")
    terminal.line(f"{code.binary}  {listing.symbol.start:#x} to {listing.symbol.stop:#x}", style="dim")
    if code.caution:
        terminal.line(Text.assemble(("! ", "yellow"), code.caution))
    if len(code.ranges) > 1:
        names = ", ".join(f"{other.name or 'code'} at {other.start:#x}" for other in code.ranges[1:4])
        terminal.line(f"The function has more code elsewhere: {names}.", style="dim")
    terminal.line("   self  address", style="dim")
    for row in range(len(listing)):
        callee = listing.callee[row]
        # Within the function the address tells all; in a stripped file objdump would name another function.
        text = listing.text[row].partition(" <")[0] if listing.target[row] >= 0 else listing.text[row]
        beside = f"   -> {callee}" if callee and callee not in listing.text[row] else ""
        terminal.line(f"{_share(weights[row], whole):>7}  {int(listing.address[row]):x}: {text}{beside}")


def _roots(opened: Opened) -> tuple[Path, ...]:
    """Where relative names of sources may begin."""
    commit = opened.session.commit if opened.session is not None else None
    return (*([Path(commit.root)] if commit is not None else []), Path.cwd())


def _module(tree: CallTree, function: str) -> str:
    """The binary that holds the function's code."""
    modules = (
        module for name, module in zip(tree.functions.names, tree.functions.module, strict=True) if name == function
    )
    return next((module for module in modules if module.startswith("/")), "")
