"""tailflame bundle"""

from __future__ import annotations

import argparse
from pathlib import Path

from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.projects import project_here
from tailflame.errors import StoreError
from tailflame.model.iteration import Iteration
from tailflame.store.bundle import SUFFIX, read_bundle, write_bundle
from tailflame.store.iterations import Iterations
from tailflame.store.library import SessionInfo
from tailflame.units import size


class BundleCommand:
    """Pack sessions or whole measurements into one file for a colleague, or unpack one.

    `bundle FILE.tailflame WHAT...` packs measurements ("latest", an id, a baseline's name) with all their sessions, and
    single sessions. `bundle --open FILE.tailflame` brings what is in it into the profiles folder.

    JSON: {"path", "bytes", "sessions": [id], "measurements": [id]}
    """

    name = "bundle"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help=f"the bundle, a name that ends in {SUFFIX}")
        parser.add_argument("what", metavar="WHAT", nargs="*", help="measurements and sessions to pack (latest)")
        parser.add_argument("--open", action="store_true", help="unpack it into the profiles folder")
        parser.add_argument(
            "--name", metavar="NAME", help="with --open: let NAME stand for its measurement, a baseline"
        )

    def run(self, args: argparse.Namespace, context: Context) -> int:
        return _open(args, context) if args.open else _pack(args, context)


def _pack(args: argparse.Namespace, context: Context) -> int:
    path = Path(args.file)
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} has to end in {SUFFIX}.", advice=f"{path.with_suffix(SUFFIX)}, for example.")
    iterations: list[Iteration] = []
    sessions: dict[str, SessionInfo] = {}
    kept = context.iterations()
    for word in args.what or ["latest"]:
        try:
            iteration = kept.get(word, project=project_here())
        except StoreError:
            info = context.library.session(word)
            sessions[info.id] = info
            continue
        iterations.append(iteration)
        for step in iteration.steps:
            if step.session:
                info = context.library.session(step.session)
                if info.problem == "" and info.state.value == "complete":
                    sessions[info.id] = info
    with context.terminal.progress(f"packing {path.name}") as report:
        write_bundle(path, context.library, sessions=list(sessions.values()), iterations=iterations, progress=report)
    context.terminal.line(f"{path}: {len(sessions)} sessions, {size(path.stat().st_size)}")
    context.terminal.document(_document(path, list(sessions), [one.id for one in iterations]))
    return ExitCode.OK


def _open(args: argparse.Namespace, context: Context) -> int:
    path = Path(args.file)
    with context.terminal.progress(f"unpacking {path.name}") as report:
        unpacked = read_bundle(path, context.library, progress=report)
    for info in unpacked.sessions:
        context.terminal.line(f"{info.id}  {info.title}")
    if args.name:
        if len(unpacked.iterations) != 1:
            raise UsageError(f"{path} holds {len(unpacked.iterations)} measurements, not one.")
        Iterations(context.library.root).name_baseline(args.name, unpacked.iterations[0])
    context.terminal.document(
        _document(path, [info.id for info in unpacked.sessions], [one.id for one in unpacked.iterations])
    )
    return ExitCode.OK


def _document(path: Path, sessions: list[str], iterations: list[str]) -> dict[str, object]:
    return {"path": str(path), "bytes": path.stat().st_size, "sessions": sessions, "measurements": iterations}
