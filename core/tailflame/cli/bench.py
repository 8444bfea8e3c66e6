"""tailflame bench"""

from __future__ import annotations

import argparse
from pathlib import Path

from tailflame.cli.benchmarks import BENCHMARKS_KIND
from tailflame.cli.command import Context
from tailflame.cli.documents import session_document
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.recording import record_session
from tailflame.errors import TargetError
from tailflame.host.cargo import project_root, read_project
from tailflame.tools import CARGO_BENCH, BenchOptions, Target


class BenchCommand:
    """Run the project's criterion benchmarks, and keep what they say.

    `cargo bench` builds and runs them. What criterion leaves is kept as a session: estimates with their intervals,
    every sample, and its verdicts since a saved baseline, which are reproduced by its own rule.

    JSON: {"session": as in list, "benchmarks": as in show}
    """

    name = "bench"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("folder", metavar="FOLDER", nargs="?", default=".", help="the project, or a folder in it (this folder)")
        add("--package", metavar="NAME", default="", help="of this package")
        add("--bench", metavar="NAME", default="", help="this bench target alone")
        add("--features", metavar="LIST", default="", help="with these features, separated by commas")
        add("--filter", metavar="TEXT", default="", help="benchmarks whose name holds TEXT")
        add("--save-baseline", metavar="NAME", default="", help="criterion's: keep this run under NAME")
        add("--baseline", metavar="NAME", default="", help="criterion's: compare with the run called NAME")
        add("--profile-time", type=float, metavar="SECONDS", help="profile each benchmark so long with pprof instead")
        add("--sample-size", type=int, metavar="N", help="samples of each benchmark (criterion's choice, 100)")
        add("-n", "--number", type=int, default=1000, metavar="N", help="benchmarks to print")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        folder = project_root(Path(args.folder).absolute())
        if folder is None:
            raise TargetError(f"There is no cargo project in {args.folder}.", advice="Go to the project first.")
        if args.save_baseline and args.baseline:
            raise UsageError("Criterion either saves a baseline or compares with one.")
        project = read_project(folder)
        extra = ("--sample-size", str(args.sample_size)) if args.sample_size is not None else ()
        options = BenchOptions(
            project=folder,
            home=project.target_folder / "criterion",
            package=args.package,
            bench=args.bench,
            features=tuple(name for name in args.features.split(",") if name),
            filter=args.filter,
            save_baseline=args.save_baseline,
            baseline=args.baseline,
            extra=extra,
            profile_time_s=args.profile_time,
        )
        benches = [target.name for target in project.targets if target.kind == "bench"]
        named = args.bench or (benches[0] if len(benches) == 1 else "benches")
        target = Target(binary=project.target_folder / "release" / "deps" / named, cwd=folder)
        made = record_session(
            context, target, lambda out: CARGO_BENCH.plan(target, options, out), tool=CARGO_BENCH.name,
            title=f"{folder.name} benches",
        )  # fmt: skip
        if args.profile_time is not None:
            context.terminal.line(
                f"{made.session.id}: the flame graph of the last benchmark; the others lie beside it."
            )
            context.terminal.document({"session": session_document(made.session), "benchmarks": []})
            return ExitCode.OK
        document = BENCHMARKS_KIND.show(made.recording, context.terminal, number=max(args.number, 0))
        context.terminal.document({"session": session_document(made.session), "benchmarks": document})
        return ExitCode.OK
