"""callgrind: what cachegrind counts, and who calls whom for how much; parts and functions can be chosen."""

from __future__ import annotations

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
    Step,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.cachegrind import BRANCHES, CACHES, LAST_LEVEL, cache_checks, cache_words, found_caches
from tailflame.tools.findings import Finding, Level

RESULT = "callgrind.out"

SIMULATED = OptionField(
    name="cache-sim",
    title="Caches",
    tip="Also simulates the caches. Without it callgrind counts instructions and calls alone, more than twice as fast.",
    kind=OptionKind.FLAG,
    default=True,
)
ONLY_IN = OptionField(
    name="only-in",
    title="Only in",
    tip="Counts while this function runs, with all it calls; * stands for anything: engine::run*. Empty: everything.",
    kind=OptionKind.TEXT,
    default="",
)
JUMPS = OptionField(
    name="jumps",
    title="Jumps",
    tip="Also keeps where code jumps, for KCachegrind's views of a function.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
INSTRUCTIONS = OptionField(
    name="instructions",
    title="Instruction by instruction",
    tip="Keeps costs of instructions and not of lines alone: larger files, and slower.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
THREADS = OptionField(
    name="threads",
    title="Each thread by itself",
    tip="Tells what each thread spent: callgrind writes a file for each, which are put together at the end.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
_CACHES = tuple(replace(field, only_with=(SIMULATED.name, True)) for field in (CACHES, LAST_LEVEL))
DUMP = Request(
    name="dump",
    title="Write a part now",
    tip="What was counted since the last part; the run goes on, and its last part is the result.",
    argv=("vgdb", "--pid={pid}", "dump"),
    artifact=f"{RESULT}.{{n}}",
)


class Callgrind:
    """Follows every call of a program."""

    name = "callgrind"
    title = "callgrind"
    answers = "Which calls cost how many instructions and cache misses, with all they call in turn?"
    cost = "It runs on a simulated processor, one thread at a time: many times slower, and no timing means anything."
    family = Family.CACHES
    program = valgrind.PROGRAM
    launches = True
    attaches = False
    slow_down = SlowDown(typical=22, worst=336, worst_for="threads that do nothing but allocate")

    def probe(self, host: Host) -> Capabilities:
        return valgrind.probe(host)

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (ONLY_IN, SIMULATED, *_CACHES, BRANCHES, JUMPS, INSTRUCTIONS, THREADS)

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name, values=found_caches(host))

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        base = out / RESULT
        words = [f"--callgrind-out-file={valgrind.file_name(base)}"]
        if options.flag(SIMULATED):
            words += ["--cache-sim=yes", *cache_words(options)]
        if options.flag(BRANCHES):
            words.append("--branch-sim=yes")
        if options.flag(JUMPS):
            words.append("--collect-jumps=yes")
        if options.flag(INSTRUCTIONS):
            words.append("--dump-instr=yes")
        if options.text(ONLY_IN).strip():
            words.append(f"--toggle-collect={options.text(ONLY_IN).strip()}")
        after: tuple[Step, ...] = ()
        if options.flag(THREADS):
            words.append("--separate-threads=yes")
            # The file itself stays empty, and each thread has its own: callgrind.out-01 is the main thread's.
            joining = (sys.executable, "-m", "tailflame.run.callgrind_threads", str(base))
            after = (Step(title="putting the threads together", argv=joining),)
        return Plan(
            tool=self.name,
            argv=valgrind.argv("callgrind", *words, *options.extra, target=target),
            target=target,
            out=out,
            artifacts=MappingProxyType({RESULT: base}),
            primary=RESULT,
            cwd=target.cwd,
            duration_s=options.duration_s,
            own_lines=valgrind.OWN_LINES,
            mirrors_target=True,
            target_is=TargetIs.ITSELF,
            after=after,
            leaves=(f"{RESULT}.*", f"{RESULT}-*"),
            requests=() if options.flag(THREADS) else (DUMP,),
            grows=(f"{RESULT}-*",) if options.flag(THREADS) else (),
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return tuple(self._checks(target, options, host))

    def _checks(self, target: Target, options: ToolOptions, host: Host) -> Iterator[Finding]:
        yield from valgrind.checks(target, host)
        if options.flag(SIMULATED):
            yield from cache_checks(options)
        wanted = options.text(ONLY_IN).strip()
        if wanted:
            yield Finding(
                Level.NOTE,
                f"Only what runs in {wanted} is counted.",
                "Where no function has this name, or it is inlined, the result is empty.",
                "callgrind takes names as it prints them, hashes included: put * in their place.",
            )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return valgrind.explain(output, plan)
