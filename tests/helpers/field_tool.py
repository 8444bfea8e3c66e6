"""A tool whose options are fields, for tests: it runs a program as its child and leaves folded stacks."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, ToolFailed
from tailflame.host.system import Host
from tailflame.tools import (
    Capabilities,
    Family,
    Finding,
    Level,
    OptionField,
    OptionKind,
    Plan,
    Request,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)

MODE = OptionField(
    name="mode",
    title="Mode",
    tip="What it does.",
    kind=OptionKind.CHOICE,
    default="good",
    choices=(("good", "Writes stacks."), ("bad", "Writes nothing."), ("parts", "Leaves parts.")),
)
DEPTH = OptionField(name="depth", title="Depth", tip="Calls.", kind=OptionKind.WHOLE, default=30, low=1, high=200)
SHARE = OptionField(name="share", title="Share", tip="Of all.", kind=OptionKind.NUMBER, default=1.0, high=100, unit="%")
PARTS = OptionField(
    name="parts", title="Parts", tip="How many.", kind=OptionKind.WHOLE, default=2, high=9, only_with=("mode", "parts")
)
QUIET = OptionField(name="quiet", title="Say nothing", tip="No words.", kind=OptionKind.FLAG, default=False, rare=True)
NAME = OptionField(name="name", title="Name", tip="Of the root.", kind=OptionKind.TEXT, default="main", rare=True)
OFF = OptionField(
    name="off",
    title="Never",
    tip="It cannot work.",
    kind=OptionKind.FLAG,
    default=False,
    reason="this machine cannot do it",
)
FIELDS = (MODE, DEPTH, SHARE, PARTS, OFF, QUIET, NAME)

_PROGRAM = """
import pathlib, subprocess, sys
out, mode, parts, name = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
target = subprocess.Popen(sys.argv[sys.argv.index("--") + 1:])
if mode == "parts":
    for at in range(parts):
        (out.parent / f"toy.{at + 1}.part").write_text(f"{name};part 1\\n")
target.wait()
if mode == "bad":
    sys.exit("TOY BROKE")
out.write_text(f"{name};work 3\\n{name};wait 1\\n")
"""
_SNAPSHOT = "import sys; open(sys.argv[1], 'w').write('main;snapshot 7\\n')"


class FieldToy:
    """`name` tells several of them apart."""

    program = "python3"
    answers = "What does the toy see?"
    cost = "Next to nothing."
    slow_down = SlowDown(typical=3.4, worst=63, worst_for="toys that only play")

    def __init__(self, name: str = "toy", *, attaches: bool = True, launches: bool = True) -> None:
        self.name = name
        self.title = name.capitalize()
        self.family = Family.MEMORY
        self.launches = launches
        self.attaches = attaches

    def probe(self, host: Host) -> Capabilities:
        return Capabilities(True, version="1.2")

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name)

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return FIELDS

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        if "hostile" in target.name and self.name == "other":
            return (Finding(Level.BLOCKER, "The toy would hang.", "", "Choose another toy."),)
        return (Finding(Level.NOTE, "The toy is a toy."),)

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        result = out / "toy.folded"
        wishes = (options.text(MODE), str(options.whole(PARTS)), options.text(NAME))
        program = ("-p", str(target.pid)) if target.pid is not None else target.argv
        return Plan(
            tool=self.name,
            argv=(sys.executable, "-c", _PROGRAM, str(result), *wishes, *options.extra, "--", *program),
            target=target,
            out=out,
            artifacts=MappingProxyType({"toy.folded": result}),
            primary="toy.folded",
            cwd=target.cwd,
            duration_s=options.duration_s,
            own_lines=re.compile(r"^TOY "),
            target_is=TargetIs.CHILD if target.pid is None else TargetIs.RUNNING,
            leaves=("*.part",),
            requests=(
                Request(
                    name="snapshot",
                    title="Snapshot now",
                    tip="Write down what is held now.",
                    argv=(sys.executable, "-c", _SNAPSHOT, str(out / "toy.snapshot{n}.folded")),
                    artifact="toy.snapshot{n}.folded",
                ),
            ),
        )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return ToolFailed("The toy broke.", advice="Mend it.") if "TOY BROKE" in output else None
