"""DHAT: every block of the heap, how long it lives, and how much of it is read and written."""

from __future__ import annotations

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
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.findings import Finding

RESULT = "dhat.out"

MODE = OptionField(
    name="mode",
    title="Follow",
    tip="What is counted, and where.",
    kind=OptionKind.CHOICE,
    default="heap",
    choices=(
        ("heap", "Allocations: how many, how large, what is read and written of them"),
        ("copy", "Copies: memcpy, strcpy and their kin"),
        ("ad-hoc", "Events that the program itself reports (DHAT_AD_HOC_EVENT)"),
    ),
)
DEPTH = OptionField(
    name="depth",
    title="Callers at most",
    tip="How many callers of each allocation are kept.",
    kind=OptionKind.WHOLE,
    default=30,
    low=1,
    high=500,
    rare=True,
)


class Dhat:
    """Every block of the heap."""

    name = "dhat"
    title = "DHAT"
    answers = "Which allocations are many, short-lived, or hardly used, and what is never freed?"
    cost = "It looks at every access to memory on a simulated processor: many times slower, one thread at a time."
    family = Family.MEMORY
    program = valgrind.PROGRAM
    launches = True
    attaches = False
    slow_down = SlowDown(typical=17, worst=173, worst_for="threads that do nothing but allocate")

    def probe(self, host: Host) -> Capabilities:
        return valgrind.probe(host)

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (MODE, DEPTH)

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name)

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        words = [
            f"--dhat-out-file={valgrind.file_name(out / RESULT)}",
            f"--mode={options.text(MODE)}",
            f"--num-callers={options.whole(DEPTH)}",
        ]
        return Plan(
            tool=self.name,
            argv=valgrind.argv("dhat", *words, *options.extra, target=target),
            target=target,
            out=out,
            artifacts=MappingProxyType({RESULT: out / RESULT}),
            primary=RESULT,
            cwd=target.cwd,
            duration_s=options.duration_s,
            own_lines=valgrind.OWN_LINES,
            mirrors_target=True,
            target_is=TargetIs.ITSELF,
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return tuple(valgrind.checks(target, host, replaces_malloc=options.text(MODE) == "heap"))

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return valgrind.explain(output, plan)
