"""A tool of option fields that needs nothing: it is the program itself, which writes its result where it is told to."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, ToolFailed
from tailflame.host.system import Host
from tailflame.tools import (
    Capabilities,
    Family,
    Finding,
    OptionField,
    OptionKind,
    Plan,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)

UNIT = OptionField(
    name="unit",
    title="Time unit",
    tip="What time is counted in.",
    kind=OptionKind.CHOICE,
    default="i",
    choices=(("i", "instructions"), ("ms", "milliseconds"), ("B", "bytes")),
)
STACKS = OptionField(name="stacks", title="Stacks", tip="Also stacks.", kind=OptionKind.FLAG, default=False)
DEPTH = OptionField(
    name="depth", title="Depth", tip="Of a stack.", kind=OptionKind.WHOLE, default=30, low=1, high=200, unit="frames"
)
THRESHOLD = OptionField(
    name="threshold", title="Threshold", tip="Below it.", kind=OptionKind.NUMBER, default=1.0, high=100, unit="%"
)
FILTER = OptionField(name="filter", title="Filter", tip="Of calls.", kind=OptionKind.TEXT, default="")


@dataclass(frozen=True)
class ToyTool:
    """`available` and so on are what a test wants of it."""

    name: str = "toy"
    title: str = "Toy"
    answers: str = "What does a test want?"
    cost: str = "Nothing."
    family: Family = Family.MEMORY
    program: str = "toy-program"
    slow_down: SlowDown = field(default_factory=lambda: SlowDown(typical=1.0, worst=1.0, worst_for="nobody"))
    launches: bool = True
    attaches: bool = True
    can: Capabilities = field(default_factory=lambda: Capabilities(True, version="1.2.3"))
    found: tuple[Finding, ...] = ()
    option_fields: tuple[OptionField, ...] = (UNIT, STACKS, DEPTH, THRESHOLD, FILTER)

    def probe(self, host: Host) -> Capabilities:
        return self.can

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return self.option_fields

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name)

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        words = [f"--{name}={value}" for name, value in sorted(options.values.items())]
        attached = target.pid is not None
        return Plan(
            tool=self.name,
            argv=("/bin/sleep", "60") if attached else (str(target.binary), *target.args, *words, *options.extra),
            target=target,
            out=out,
            artifacts=MappingProxyType({"toy": out / "toy.txt"}),
            primary="toy",
            cwd=target.cwd,
            env=MappingProxyType({"TOY_OUT": str(out / "toy.txt")}),
            duration_s=options.duration_s,
            target_is=TargetIs.RUNNING if attached else TargetIs.ITSELF,
        )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return ToolFailed("The toy is broken.", details=output) if "BROKEN" in output else None

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return self.found

    def but(self, **changes: object) -> ToyTool:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def program(folder: Path, code: str = "", name: str = "engine") -> Path:
    """A shell script that first writes stacks where the toy's plan wants them."""
    script = folder / name
    script.write_text(f'#!/bin/sh\nprintf "engine;main;work 7\\n" > "$TOY_OUT"\n{code}\n')
    script.chmod(0o755)
    assert os.access(script, os.X_OK)
    return script
