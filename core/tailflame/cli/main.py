"""`tailflame`: record a profile, read it, keep a baseline, see what changed."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import platformdirs

import tailflame
from tailflame.cli.baseline import BaselineCommand
from tailflame.cli.command import Command, Context
from tailflame.cli.demo import DemoCommand
from tailflame.cli.diff import DiffCommand
from tailflame.cli.doctor import DoctorCommand
from tailflame.cli.exit_codes import ExitCode, UsageError, epilog, exit_code_of
from tailflame.cli.export import ExportCommand
from tailflame.cli.list import ListCommand
from tailflame.cli.record import RecordCommand
from tailflame.cli.show import ShowCommand
from tailflame.cli.terminal import Terminal
from tailflame.errors import Cancelled, StoreError, TailflameError
from tailflame.store import Library, load_settings, profiles_folder
from tailflame.store.files import reason

COMMANDS: tuple[Command, ...] = (
    RecordCommand(),
    ShowCommand(),
    DiffCommand(),
    ExportCommand(),
    ListCommand(),
    BaselineCommand(),
    DoctorCommand(),
    DemoCommand(),
)


class _Parser(argparse.ArgumentParser):
    """Complains in the words of every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", advice=f"See `{self.prog} --help`.")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    layout = argparse.RawDescriptionHelpFormatter
    common = _Parser(add_help=False)
    common.add_argument("--profiles", metavar="DIR", help="the folder that holds the sessions")
    common.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    common.add_argument("--details", action="store_true", help="with an error, print the tool's own words as well")
    parser = _Parser(prog="tailflame", description=__doc__, epilog=epilog(), formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"tailflame {tailflame.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS:
        text = _text(command)
        sub = commands.add_parser(
            command.name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            epilog=epilog(),
            parents=[common],
            formatter_class=layout,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def _text(command: Command) -> str:
    """A command's docstring without its indentation."""
    return inspect.cleandoc(type(command).__doc__ or command.name)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status. No error of any kind ends in a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    # What follows the first "--" belongs to the profiled program, whatever it looks like.
    rest = words.index("--") if "--" in words else len(words)
    terminal = Terminal(details="--details" in words[:rest])
    try:
        args = build_parser().parse_args(words[:rest])
        if args.command is None:
            raise UsageError("Which command?", advice=f"One of {', '.join(c.name for c in COMMANDS)}; see --help.")
        args.target = words[rest + 1 :]
        if args.target and args.command != "record":
            raise UsageError(
                f"`{args.command}` takes nothing after --.", advice=f"See `tailflame {args.command} --help`."
            )
        terminal = Terminal(json=args.json, details=args.details)
        loaded = load_settings()
        if loaded.notice:
            terminal.note(f"tailflame: {loaded.notice}")
        root = Path(args.profiles).expanduser() if args.profiles else profiles_folder(loaded.settings)
        code: int = args.run(args, Context(terminal, Library(root), loaded.settings))
        sys.stdout.flush()
        return code
    except SystemExit as done:  # argparse: --help, --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        terminal.error(Cancelled())
        return ExitCode.CANCELLED
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except TailflameError as error:
        terminal.error(error)
        return exit_code_of(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        terminal.error(StoreError(f"{where}{reason(error)}."))
        return ExitCode.INPUT
    except MemoryError:
        terminal.error(
            StoreError(
                "There is not enough memory for this file.",
                advice="Close other programs, or record for a shorter time.",
            )
        )
        return ExitCode.INPUT
    except Exception as fault:  # noqa: BLE001 - the last resort: told and written down, never a traceback
        _report_fault(terminal, fault, words)
        return ExitCode.INTERNAL


def _report_fault(terminal: Terminal, fault: Exception, words: list[str]) -> None:
    text = f"tailflame {tailflame.__version__}\n{words}\n{''.join(traceback.format_exception(fault))}"
    folder = Path(platformdirs.user_log_dir("tailflame", appauthor=False))
    place = folder / f"fault_{datetime.now():%Y%m%d_%H%M%S}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.write_text(text, errors="backslashreplace")
        advice = f"Please report it with {place}."
    except OSError:
        advice = "Run it again with --details and report what it prints."
    terminal.error(
        TailflameError(f"A fault of Tailflame: {type(fault).__name__}: {fault}.", advice=advice, details=text)
    )


if __name__ == "__main__":
    sys.exit(main())
