"""massif: the heap over time, and who holds it at some moments, the peak among them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError
from tailflame.host.system import Host
from tailflame.tools import valgrind
from tailflame.tools.base import (
    Capabilities,
    Family,
    OptionField,
    OptionKind,
    Plan,
    Request,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.findings import Finding, Level

RESULT = "massif.out"

TIME_UNIT = OptionField(
    name="time-unit",
    title="Time",
    tip="What snapshots are placed by. Instructions are the same in each run; bytes suit programs that run briefly.",
    kind=OptionKind.CHOICE,
    default="i",
    choices=(
        ("i", "Instructions: the same in each run"),
        ("ms", "Milliseconds, of the slowed-down run"),
        ("B", "Bytes allocated and freed"),
    ),
)
STACKS = OptionField(
    name="stacks",
    title="Stacks too",
    tip="Also counts what the threads' stacks hold. Much slower, and without call trees of them.",
    kind=OptionKind.FLAG,
    default=False,
)
PAGES = OptionField(
    name="pages",
    title="Pages instead of blocks",
    tip="Counts all memory that is mapped, code and data included, in place of what malloc hands out: for programs with"
    " an allocator of their own.",
    kind=OptionKind.FLAG,
    default=False,
    only_with=(STACKS.name, False),
)
DETAILED = OptionField(
    name="detailed-freq",
    title="Call tree every",
    tip="Every so many snapshots have a call tree; 1 is each of them. The peak always has one.",
    kind=OptionKind.WHOLE,
    default=10,
    low=1,
    high=1_000_000,
    unit="snapshots",
)
SNAPSHOTS = OptionField(
    name="max-snapshots",
    title="Snapshots at most",
    tip="When there are more, every second one is dropped.",
    kind=OptionKind.WHOLE,
    default=100,
    low=10,
    high=1000,
)
THRESHOLD = OptionField(
    name="threshold",
    title="Leave out below",
    tip="Callers that hold less than this share of the memory are put together as one.",
    kind=OptionKind.NUMBER,
    default=1.0,
    low=0,
    high=100,
    unit="%",
)
DEPTH = OptionField(
    name="depth",
    title="Callers at most",
    tip="How many callers of each allocation are kept.",
    kind=OptionKind.WHOLE,
    default=30,
    low=1,
    high=200,
    rare=True,
)
PEAK_INACCURACY = OptionField(
    name="peak-inaccuracy",
    title="Peak within",
    tip="How far the peak that is shown may lie below the true one; 0 is exact, and slower.",
    kind=OptionKind.NUMBER,
    default=1.0,
    low=0,
    high=100,
    unit="%",
    rare=True,
)
CHILDREN = OptionField(
    name="children",
    title="Programs that it starts",
    tip="Also follows programs that this one starts, as a script does: a file for each. The last one opens, and names"
    " the others.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
SNAPSHOT = Request(
    name="snapshot",
    title="Snapshot now",
    tip="What the heap holds at this moment, with its call tree, as a result of its own; the run goes on.",
    argv=("vgdb", "--pid={pid}", "detailed_snapshot", "massif.snapshot.{n}"),
    artifact="massif.snapshot.{n}",
)


class Massif:
    """Memory over time."""

    name = "massif"
    title = "massif"
    answers = "How much memory does it hold over time, and who holds it at the peak?"
    cost = "It runs on a simulated processor, one thread at a time: several times slower, and no timing means anything."
    family = Family.MEMORY
    program = valgrind.PROGRAM
    launches = True
    attaches = False
    slow_down = SlowDown(typical=3.4, worst=63, worst_for="threads that do nothing but allocate")

    def probe(self, host: Host) -> Capabilities:
        return valgrind.probe(host)

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (TIME_UNIT, STACKS, PAGES, DETAILED, SNAPSHOTS, THRESHOLD, DEPTH, PEAK_INACCURACY, CHILDREN)

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name)

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        every = options.flag(CHILDREN)
        name = f"{RESULT}.*" if every else RESULT
        file = valgrind.file_name(out / RESULT) + (".%p" if every else "")
        words = [f"--massif-out-file={file}", f"--time-unit={options.text(TIME_UNIT)}"]
        if options.flag(STACKS):
            words.append("--stacks=yes")
        elif options.flag(PAGES):
            words.append("--pages-as-heap=yes")
        words += [
            f"--detailed-freq={options.whole(DETAILED)}",
            f"--max-snapshots={options.whole(SNAPSHOTS)}",
            f"--threshold={options.number(THRESHOLD):.4g}",
            f"--depth={options.whole(DEPTH)}",
            f"--peak-inaccuracy={options.number(PEAK_INACCURACY):.4g}",
        ]
        if every:
            words.append("--trace-children=yes")
        return Plan(
            tool=self.name,
            argv=valgrind.argv("massif", *words, *options.extra, target=target),
            target=target,
            out=out,
            artifacts=MappingProxyType({RESULT: out / name}),
            primary=RESULT,
            cwd=target.cwd,
            duration_s=options.duration_s,
            own_lines=valgrind.OWN_LINES,
            mirrors_target=True,
            target_is=TargetIs.ITSELF,
            leaves=("massif.snapshot.*", *((name,) if every else ())),
            requests=(_snapshot(out),),
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return tuple(self._checks(target, options, host))

    def _checks(self, target: Target, options: ToolOptions, host: Host) -> Iterator[Finding]:
        pages = options.flag(PAGES) and not options.flag(STACKS)
        yield from valgrind.checks(target, host, replaces_malloc=not pages)
        if options.flag(PAGES) and options.flag(STACKS):
            yield Finding(
                Level.WARNING,
                "Pages are not counted: massif takes them or stacks, not both.",
                "Stacks lie in pages themselves.",
                "Choose one of them.",
            )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return valgrind.explain(output, plan)


def _snapshot(out: Path) -> Request:
    """The same at its place in `out`."""
    place = str(out / SNAPSHOT.artifact)
    argv = (*SNAPSHOT.argv[:-1], place)
    if re.search(r"\s", place):
        argv = (sys.executable, "-m", "tailflame.host.massif_snapshot", "{pid}", place)
    return replace(SNAPSHOT, argv=argv)
