"""`tailflame`: record a profile, read it, keep a baseline, see what changed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tailflame.cli.exit_codes import ExitCode, UsageError, epilog, exit_code_of
from tailflame.errors import Cancelled, StoreError, TailflameError

if TYPE_CHECKING:
    from tailflame.cli.command import Command

# What a command needs is imported when it is run: --help, and a wrong word, answer at once.


@dataclass(frozen=True, slots=True)
class Entry:
    """A command by name: `module` of tailflame.cli holds it as `type`; `summary` is the first line of its docstring."""

    name: str
    module: str
    type: str
    summary: str

    def command(self) -> Command:
        command: Command = getattr(importlib.import_module(f"tailflame.cli.{self.module}"), self.type)()
        return command


COMMANDS = (
    Entry(
        "record",
        "record",
        "RecordCommand",
        "Record a program with a profiler, or with several in turn, and keep what they find as sessions.",
    ),
    Entry("bench", "bench", "BenchCommand", "Run the project's criterion benchmarks, and keep what they say."),
    Entry("live", "live", "LiveCommand", "Watch a program's latency percentiles and counters while it runs."),
    Entry("attach", "live", "AttachCommand", "Watch a program that runs already."),
    Entry("watch", "watch", "WatchCommand", "Profile a running program for hours, or follow a folder of profiles."),
    Entry(
        "probe",
        "bpftrace",
        "ProbeCommand",
        "Ask the kernel one question about a program: system calls, waits, faults, calls of a function.",
    ),
    Entry("show", "show", "ShowCommand", "Show a result: the facts of the run and where its time went."),
    Entry(
        "annotate",
        "annotate",
        "AnnotateCommand",
        "Show what each source line and each instruction of a function costs.",
    ),
    Entry("diff", "diff", "DiffCommand", "Compare two results and name what changed beyond the noise."),
    Entry(
        "tail",
        "tail",
        "TailCommand",
        "Compare the slow calls of a live run with its fast ones: what the tail does that the rest does not.",
    ),
    Entry("export", "export", "ExportCommand", "Write a result in a form that others read."),
    Entry(
        "init",
        "init",
        "InitCommand",
        "Write tailflame.toml, the plan of what is measured, by looking at the cargo project.",
    ),
    Entry(
        "run",
        "run",
        "RunCommand",
        "Measure everything that the project's plan (tailflame.toml) names, and judge it against the baseline.",
    ),
    Entry(
        "verdict",
        "verdict",
        "VerdictCommand",
        "Compare two measurements in everything that both have: keep, revert, or not enough data.",
    ),
    Entry(
        "gate",
        "gate",
        "GateCommand",
        "Measure by the plan and let nothing pass that got worse: for CI.",
    ),
    Entry(
        "report",
        "report",
        "ReportCommand",
        "Write a measurement, and what it is against the baseline, as one file: HTML, Markdown, JSON or JUnit XML.",
    ),
    Entry(
        "bundle",
        "bundle",
        "BundleCommand",
        "Pack sessions or whole measurements into one file for a colleague, or unpack one.",
    ),
    Entry("list", "list", "ListCommand", "List the sessions, newest first."),
    Entry("baseline", "baseline", "BaselineCommand", "Pin the result that a program's later ones are compared with."),
    Entry(
        "tools",
        "tools",
        "ToolsCommand",
        "Name the tools: what each answers and costs, its options, and the exact command it would run.",
    ),
    Entry(
        "doctor",
        "doctor",
        "DoctorCommand",
        "Tell what can be recorded on this machine, what cannot, why, and how to change that.",
    ),
    Entry(
        "demo",
        "demo",
        "DemoCommand",
        "Record the demo trading system, and show where its time goes and how late its orders are.",
    ),
)


class _Parser(argparse.ArgumentParser):
    """Complains in the words of every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", advice=f"See `{self.prog} --help`.")


class _CommandParser(_Parser):
    """Takes words on either side of an option: argparse gives up those that may be left out at the first one."""

    _again = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        before = argparse.Namespace(**vars(namespace)) if namespace is not None else None
        found, rest = super().parse_known_args(args, namespace)
        if self._again or all(word.startswith("-") for word in rest):
            return found, rest
        self._again = True
        try:
            return self.parse_known_intermixed_args(args, before)
        finally:
            self._again = False


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import tailflame

        print(f"tailflame {tailflame.__version__}")
        parser.exit()


def build_parser(chosen: str) -> argparse.ArgumentParser:
    """The command line: every command by name, and the `chosen` one with its arguments."""
    layout = argparse.RawDescriptionHelpFormatter
    common = _CommandParser(add_help=False)
    common.add_argument("--profiles", metavar="DIR", help="the folder that holds the sessions")
    common.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    common.add_argument("--details", action="store_true", help="with an error, print the tool's own words as well")
    parser = _Parser(prog="tailflame", description=__doc__, epilog=epilog(), formatter_class=layout)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_CommandParser)
    for entry in COMMANDS:
        summary = entry.summary.rstrip(".")
        if entry.name != chosen:
            commands.add_parser(entry.name, help=summary)
            continue
        command = entry.command()
        sub = commands.add_parser(
            entry.name,
            help=summary,
            description=inspect.cleandoc(type(command).__doc__ or entry.summary),
            epilog=epilog(),
            parents=[common],
            formatter_class=layout,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status. No error of any kind ends in a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Closed by whoever started us (`>&-`): what would be shown goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    # What follows the first "--" belongs to the profiled program, whatever it looks like.
    rest = words.index("--") if "--" in words else len(words)
    try:
        return _run(words[:rest], words[rest + 1 :])
    except SystemExit as done:  # argparse: --help, --version
        return int(done.code or 0)
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except BaseException as fault:  # noqa: BLE001 - the last resort: told and written down, never a traceback
        return _told(fault, words, details="--details" in words[:rest])


def _run(words: list[str], target: list[str]) -> int:
    """The command in `words`, with what stood after --."""
    chosen = next((word for word in words if not word.startswith("-")), "")
    args = build_parser(chosen).parse_args(words)
    if args.command is None:
        raise UsageError("Which command?", advice=f"One of {', '.join(c.name for c in COMMANDS)}; see --help.")
    args.target = target
    if target and args.command not in ("record", "live", "probe", "tools"):
        raise UsageError(f"`{args.command}` takes nothing after --.", advice=f"See `tailflame {args.command} --help`.")
    from tailflame.cli.command import Context
    from tailflame.cli.terminal import Terminal
    from tailflame.store import Library, load_settings, profiles_folder

    terminal = Terminal(json=args.json, details=args.details)
    loaded = load_settings()
    if loaded.notice:
        terminal.note(f"tailflame: {loaded.notice}")
    # os.path: a "~" that stands for nobody is left as it is.
    root = Path(os.path.expanduser(args.profiles)) if args.profiles else profiles_folder(loaded.settings)  # noqa: PTH111
    code: int = args.run(args, Context(terminal, Library(root), loaded.settings))
    sys.stdout.flush()
    return code


def _told(fault: BaseException, words: list[str], *, details: bool) -> int:
    """Says what went wrong, and with which status to end."""
    from tailflame.cli.terminal import Terminal

    match fault:
        case TailflameError():
            error = fault
        case KeyboardInterrupt():
            error = Cancelled()
        case OSError():
            where = f"{fault.filename}: " if fault.filename else ""
            error = StoreError(f"{where}{fault.strerror or type(fault).__name__}.")
        case MemoryError():
            error = StoreError(
                "There is not enough memory for this file.",
                advice="Close other programs, or record for a shorter time.",
            )
        case _:
            from tailflame.cli.faults import written_down

            error = written_down(fault, words)
    with contextlib.suppress(OSError):  # a closed terminal, a full disk: the status is all that is left to say it
        Terminal(details=details).error(error)
    return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main())
