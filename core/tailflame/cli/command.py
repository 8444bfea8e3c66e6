"""What a command is: one file here, one entry in COMMANDS (main.py)."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tailflame import parse
from tailflame.analyse.counted import as_counted, first_weight, tells_amounts
from tailflame.cli.exit_codes import UsageError
from tailflame.cli.terminal import Terminal
from tailflame.model import Event, Recording, StackProfile, Weight
from tailflame.parse.source import Progress
from tailflame.store import Library, Opened, Settings, open_result
from tailflame.store.iterations import Iterations

_LIVE_FILES = ("live.jsonl", "slices.json")
"""run.live_session.LOG and store.slice_store.INDEX, without all that recording takes."""


def draw_flame_graph(profile: StackProfile, path: Path) -> None:
    """Writes the flame graph that stands in a session's folder. Few commands do: what it takes is imported here."""
    from tailflame.report import svg

    svg.write(profile, path)


def _load_live(path: Path, *, format: str | None = None, progress: Progress | None = None) -> Recording:
    from tailflame.run.live_session import load_raw

    return load_raw(path, format=format, progress=progress)


def _mended(path: Path) -> None:
    """Makes the file of an interrupted recording whole."""
    from tailflame.run.perf_file import mend

    mend(path)


@dataclass(frozen=True, slots=True)
class Context:
    """What every command works with."""

    terminal: Terminal
    library: Library
    settings: Settings

    def open(self, name: str, *, binary: str = "", format: str | None = None) -> Opened:
        """The recording that `name` stands for, with progress. An interrupted session is finished on the way."""

        def read(path: Path) -> Recording:
            load = _load_live if path.name in _LIVE_FILES else parse.load
            with self.terminal.progress(f"reading {path.name}") as report:
                return load(path, format=format, progress=report)

        opened = open_result(name, self.library, load=read, draw=draw_flame_graph, mend=_mended, binary=binary)
        if opened.session is None:
            opened = replace(opened, label=name)
        if opened.recovered and opened.session is not None:
            self.terminal.note(f"{opened.session.id} had not been read yet; it is kept now.")
        return opened

    def iterations(self) -> Iterations:
        """The measurements. Says on the way where nobody knows which of them are baselines."""
        iterations = Iterations(self.library.root)
        problem = iterations.problem()
        if problem is not None:
            self.terminal.error(problem)
        return iterations


class Command(Protocol):
    """The docstring of an implementation is its help: the first line stands in the list, the whole under --help."""

    @property
    def name(self) -> str: ...

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace, context: Context) -> int:
        """Does it and returns the exit status. Raises TailflameError for what a user can meet."""


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Which event weighs the samples, and how."""
    parser.add_argument(
        "--event", metavar="NAME", help="the event to weigh by: its name or number (default: the first)"
    )
    parser.add_argument(
        "--weight",
        choices=("samples", "period"),
        help="count samples, or the event's own units (default: samples; bytes of a heap, and what else was counted)",
    )


def tolerated_share(args: argparse.Namespace) -> float:
    """--tolerate as a share, 0.05 for 5 %. UsageError for what is no percentage from 0 on."""
    percentage: float = args.tolerate
    if not 0 <= percentage < math.inf:  # NaN is not, either
        raise UsageError("--tolerate takes a percentage from 0 on.", advice="For instance: --tolerate 5")
    return percentage / 100


def add_filter_argument(parser: argparse.ArgumentParser) -> None:
    """What `filtered_as` reads."""
    parser.add_argument(
        "--filter",
        metavar="EXPRESSION",
        default="",
        help="only these samples: 'thread:worker* -thread:logger cpu:0-3 pid:7 event:cycles function:match module:libc"
        " time:1.2-3.4s'; spaces mean and, commas or, - leaves out",
    )


def filtered_as(args: argparse.Namespace, opened: Opened) -> Opened:
    """`opened` with the samples of its profile that --filter lets in; UsageError for an expression that is none."""
    profile = opened.recording.profile
    if not args.filter:
        return opened
    from tailflame.analyse.filter_language import FilterError, parse
    from tailflame.analyse.sample_filter import SampleFilter, filtered, unmatched

    try:
        terms = parse(args.filter)
    except FilterError as error:
        sentence = f"--filter, character {error.start + 1}: {error.sentence}"
        raise UsageError(sentence, advice=error.advice) from error
    if profile is None:
        raise UsageError(f"{opened.label} holds no samples to filter.")
    missing = unmatched(profile, terms)
    if missing:
        raise UsageError(missing[0], advice="tailflame show --by thread lists the threads.")
    part = filtered(profile, SampleFilter(terms=terms))
    results = tuple(part if result is profile else result for result in opened.recording.results)
    return replace(opened, recording=replace(opened.recording, results=results))


def chosen_weight(args: argparse.Namespace, profile: StackProfile, event: int) -> Weight:
    """What was asked for; else samples, and of what was counted one by one its own units."""
    if args.weight is None:
        return first_weight(profile, event) if tells_amounts(as_counted(profile, event)) else Weight.SAMPLES
    return Weight.PERIOD if args.weight == "period" else Weight.SAMPLES


def weight_word(weight: Weight) -> str:
    """What --weight calls it."""
    return "period" if weight is Weight.PERIOD else "samples"


def chosen_event(name: str | None, profile: StackProfile) -> int:
    """The index of the event called `name`, or numbered so from 1 on; UsageError where there is none."""
    if name is None:
        return 0
    names = [event.name for event in profile.events]
    for index, event in enumerate(profile.events):
        if name in (event.name, _bare(event)):
            return index
    if name.isdigit() and 1 <= int(name) <= len(names):
        return int(name) - 1
    raise UsageError(f"There is no event “{name}”.", advice=f"It has: {', '.join(names)}.")


def _bare(event: Event) -> str:
    """Without modifiers: "cycles" for "cycles:u"."""
    return event.name.partition(":")[0]


def profile_of(opened: Opened) -> StackProfile:
    """The stacks of a result; UsageError where it holds none."""
    profile = opened.recording.profile
    if profile is None:
        what, figures = ("counters", "figures") if opened.recording.histograms is None else ("latencies", "percentiles")
        raise UsageError(
            f"{opened.label} holds {what} and no stacks.", advice=f"`tailflame show` prints its {figures}."
        )
    return profile
