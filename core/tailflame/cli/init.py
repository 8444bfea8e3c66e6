"""tailflame init"""

from __future__ import annotations

import argparse
from pathlib import Path

from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode, UsageError


class InitCommand:
    """Write tailflame.toml, the plan of what is measured, by looking at the cargo project.

    FOLDER is the project, or a folder in it. An existing plan is left as it is, unless --force says otherwise.

    JSON: {"path", "written"}
    """

    name = "init"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="the project (this folder)")
        parser.add_argument("--force", action="store_true", help="write over a plan that is there")
        parser.add_argument("--print", action="store_true", help="print the plan and write nothing")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        from tailflame.run.plan_init import propose

        path, text = propose(Path(args.folder).absolute())
        terminal = context.terminal
        if args.print:
            terminal.lines(text.rstrip())
            terminal.document({"path": str(path), "written": False})
            return ExitCode.OK
        if path.exists() and not args.force:
            raise UsageError(f"{path} is there already.", advice="Change it by hand, or write it anew with --force.")
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
        terminal.line(f"{path} is written. Look through it, then: tailflame run")
        terminal.document({"path": str(path), "written": True})
        return ExitCode.OK
