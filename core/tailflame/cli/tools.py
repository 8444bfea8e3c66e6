"""tailflame tools"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from tailflame import tools
from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.findings import findings_document, print_findings
from tailflame.cli.terminal import STYLES, add_row, plain_table
from tailflame.cli.tool_options import possible, said
from tailflame.cli.wishes import Wish, add_recording_arguments, no_such_tool, wishes_of
from tailflame.errors import TailflameError
from tailflame.host.install import install_command
from tailflame.host.system import Host, probe_host
from tailflame.store import SessionInfo
from tailflame.tools import (
    CARGO_FLAMEGRAPH,
    PERF_RECORD,
    Capabilities,
    Family,
    Level,
    Plan,
    Tool,
    field_tool,
    preflight,
)

_LONGEST = 40
"""Characters of a default that are printed; --json has all of them."""


class ToolsCommand:
    """Name the tools: what each answers and costs, its options, and the exact command it would run.

      tailflame tools                         all of them, and what is not installed
      tailflame tools massif                  one, with its options and what they mean
      tailflame tools massif [--set ...] -- PROGRAM ARGUMENTS...   the command that would record it, and what speaks
                                              against that (or --pid PID)

    JSON: {"tools": [{"name", "title", "family", "answers", "cost", "slow_down": {"typical", "worst", "worst_for",
    "sentence"} or null, "available", "version", "reason", "install", "launches", "attaches", "options": [{"name",
    "title", "meaning", "kind", "default", "choices": [{"value", "meaning"}], "low", "high", "unit", "only_with",
    "rare", "reason"}], "last": {"session", "started_at", "outcome"} or null}]}; with a target also "argv",
    "command_line", "requests": [{"name", "title", "meaning"}] and "findings" as in `doctor`
    """

    name = "tools"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("tool_name", metavar="NAME", nargs="?", default="", help="one tool alone")
        add_recording_arguments(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        host = probe_host()
        name = args.tool_name or args.tool
        known = [tool.name for tool in tools.TOOLS]
        if name and name not in known:
            raise no_such_tool(name, known)
        aimed = bool(args.target or args.pid)
        if not name:
            if aimed or args.options:
                raise UsageError("Which tool?", advice=f"tailflame tools NAME; the names are {', '.join(known)}.")
            _print_all(host, context)
            context.terminal.document({"tools": [_document(tool, host, context) for tool in tools.TOOLS]})
            return ExitCode.OK
        tool = tools.tool_named(name)
        document = _document(tool, host, context)
        _print_one(tool, host, context)
        if aimed:
            args.tool = name
            (wish,) = wishes_of(args, args.target, host)
            document |= _print_command(wish, host, context)
        context.terminal.document({"tools": [document]})
        return ExitCode.OK


def _print_all(host: Host, context: Context) -> None:
    """The tools by family, each with its question, its cost, and its version or how to get it."""
    for family in Family:
        of_family = [tool for tool in tools.TOOLS if _family(tool) is family]
        if not of_family:
            continue
        context.terminal.line(family.value, style="bold")
        table = plain_table("tool", "answers", ("slower", "right"), "starts", "installed")
        for tool in of_family:
            can = tool.probe(host)
            installed = Text(can.version or "yes", style="dim")
            if not can.available:
                installed = Text(_off(tool, can), style=STYLES["warn"])
            add_row(table, (tool.name, tool.answers, Text(_times(tool), style="dim"), _ways(tool), installed))
        context.terminal.table(table)
        context.terminal.line()
    context.terminal.line("Record with one:  tailflame record --tool NAME -- PROGRAM     More:  tailflame tools NAME")


def _print_one(tool: Tool[Any], host: Host, context: Context) -> None:
    terminal, can = context.terminal, tool.probe(host)
    terminal.line(tool.title, style="bold")
    table = plain_table("", "")
    table.show_header = False
    fields = field_tool(tool.name)
    for label, value in (
        ("answers", tool.answers),
        ("costs", tool.cost),
        ("slower", fields.slow_down.sentence if fields is not None else ""),
        ("installed", can.version or "yes" if can.available else _off(tool, can)),
        ("starts", _ways(tool)),
        ("last result", _last_words(_last(tool, context))),
    ):
        if value:
            add_row(table, (Text(label, style="dim"), value))
    terminal.table(table)
    print_options((tool,), host, context, title=False)


def print_options(chosen: Sequence[Tool[Any]], host: Host, context: Context, *, title: bool = True) -> None:
    """What --set takes for each of the tools."""
    terminal = context.terminal
    for tool in chosen:
        fields = field_tool(tool.name)
        if title:
            terminal.line(tool.title, style="bold")
        if fields is None:
            terminal.line("Its options are those of `tailflame record --help`.")
            continue
        options = fields.fields(host)
        if not options:
            terminal.line("It has no options.")
            continue
        terminal.line()
        table = plain_table("--set", "default", "can be", "meaning")
        for option in sorted(options, key=lambda option: option.rare):
            meaning = option.tip
            if option.only_with is not None:
                meaning += f" Only with {option.only_with[0]}={said(option.only_with[1])}."
            told = any(words for _, words in option.choices)
            takes = "one of" if told else possible(option)
            add_row(table, (option.name, _short(said(option.default)), takes, meaning))
            for value, words in option.choices if told else ():
                add_row(table, ("", "", value, Text(words, style="dim")))
            if option.reason:
                add_row(table, ("", "", "", Text(f"Not here: {option.reason}", style=STYLES["warn"])))
        terminal.table(table)
    if title:
        terminal.document({"tools": [{"name": tool.name, "options": _options(tool, host)} for tool in chosen]})


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _print_command(wish: Wish, host: Host, context: Context) -> dict[str, Any]:
    """The command that would run now, what speaks against it, what can be asked while it runs; its JSON."""
    terminal = context.terminal
    plan: Plan = wish.plan(context.library.root / "SESSION")
    found = preflight(wish.target, wish.options, host, out=context.library.root)
    terminal.line()
    print_findings(terminal, found, least=Level.NOTE)
    for request in plan.requests:
        terminal.line(f"While it runs it can be asked for: {request.title}. {request.tip}".rstrip())
    terminal.line(plan.command_line, command=True)
    for step in plan.after:
        source = f" < {shlex.quote(str(step.stdin))}" if step.stdin is not None else ""
        place = f" > {shlex.quote(str(step.stdout))}" if step.stdout is not None else ""
        terminal.line(f"{tools.command_line(step.argv)}{source}{place}", command=True)
    return {
        "argv": list(plan.argv),
        "command_line": plan.command_line,
        "requests": [{"name": r.name, "title": r.title, "meaning": r.tip} for r in plan.requests],
        "findings": findings_document(found),
    }


def _document(tool: Tool[Any], host: Host, context: Context) -> dict[str, Any]:
    can, fields, last = tool.probe(host), field_tool(tool.name), _last(tool, context)
    slow = fields.slow_down if fields is not None else None
    return {
        "name": tool.name,
        "title": tool.title,
        "family": _family(tool).value,
        "answers": tool.answers,
        "cost": tool.cost,
        "slow_down": slow
        and {"typical": slow.typical, "worst": slow.worst, "worst_for": slow.worst_for, "sentence": slow.sentence},
        "available": can.available,
        "version": can.version,
        "reason": can.reason,
        "install": "" if can.available else can.fix or _install(tool),
        "launches": fields.launches if fields is not None else True,
        "attaches": _attaches(tool),
        "options": _options(tool, host),
        "last": last
        and {
            "session": last.id,
            "started_at": last.started_at.isoformat() if last.started_at else None,
            "outcome": last.manifest.outcome if last.manifest else "",
        },
    }


def _options(tool: Tool[Any], host: Host) -> list[dict[str, Any]]:
    fields = field_tool(tool.name)
    return [
        {
            "name": option.name,
            "title": option.title,
            "meaning": option.tip,
            "kind": option.kind.value,
            "default": option.default,
            "choices": [{"value": value, "meaning": meaning} for value, meaning in option.choices],
            "low": option.low,
            "high": option.high,
            "unit": option.unit,
            "only_with": list(option.only_with) if option.only_with else None,
            "rare": option.rare,
            "reason": option.reason,
        }
        for option in (fields.fields(host) if fields is not None else ())
    ]


def _family(tool: Tool[Any]) -> Family:
    fields = field_tool(tool.name)
    return fields.family if fields is not None else Family.CPU


def _attaches(tool: Tool[Any]) -> bool:
    fields = field_tool(tool.name)
    return fields.attaches if fields is not None else tool.name == PERF_RECORD.name


def _ways(tool: Tool[Any]) -> str:
    fields = field_tool(tool.name)
    if fields is not None and not fields.launches:
        return "attaches alone"
    return "a program, or attaches" if _attaches(tool) else "a program"


def _times(tool: Tool[Any]) -> str:
    """ "3 to 60 times"."""
    fields = field_tool(tool.name)
    if fields is None:
        return ""
    slow = fields.slow_down
    low, high = f"{slow.typical:.2g}", f"{slow.worst:.0f}" if slow.worst >= 10 else f"{slow.worst:.2g}"
    return f"{low} times" if low == high else f"{low} to {high} times"


def _off(tool: Tool[Any], can: Capabilities) -> str:
    fix = can.fix or _install(tool)
    return f"no: {can.reason}; {fix}" if fix and can.reason else can.reason or fix


def _install(tool: Tool[Any]) -> str:
    if tool.name == CARGO_FLAMEGRAPH.name:
        return install_command("cargo-flamegraph")
    fields = field_tool(tool.name)
    return install_command(fields.program if fields is not None else "perf")


def _last(tool: Tool[Any], context: Context) -> SessionInfo | None:
    """Its newest session."""
    try:
        return next((info for info in context.library.sessions() if info.tool == tool.name), None)
    except TailflameError:  # a folder that cannot be read is no reason to say nothing of the tools
        return None


def _last_words(info: SessionInfo | None) -> str:
    if info is None:
        return ""
    outcome = info.manifest.outcome if info.manifest else ""
    return f"{info.id}, {outcome}" if outcome else info.id
