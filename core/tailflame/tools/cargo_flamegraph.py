"""`cargo flamegraph`: builds a target of a cargo project, samples it with perf and draws the flame graph.

`--cmd` gives perf the same clock as every other tool here and puts perf.data where the result belongs; without it the
file is left in the project. `--ignore-status` because otherwise nothing is drawn of a target that crashed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, ToolFailed
from tailflame.host.install import install_command
from tailflame.host.system import Host
from tailflame.tools import perf_record
from tailflame.tools.base import Capabilities, Plan, Target


class CargoKind(StrEnum):
    """What of the project is run."""

    BIN = "bin"
    EXAMPLE = "example"
    TEST = "test"
    BENCH = "bench"
    UNIT_TEST = "unit-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class CargoOptions:
    """The wishes of one `cargo flamegraph`. It runs in `project`: `.cargo/config.toml` counts from there alone."""

    project: Path
    kind: CargoKind = CargoKind.BIN
    name: str = ""
    """Of the binary, test, bench or example; empty: the only one there is."""
    package: str = ""
    profile: str = ""
    """Empty: cargo flamegraph's own choice, `release` or `bench`."""
    features: tuple[str, ...] = ()
    frequency: int = 1999
    event: str = "cpu-clock"
    call_graph: perf_record.CallGraph = perf_record.CallGraph.DWARF
    dwarf_stack: int = 16384
    duration_s: float | None = None
    extra: tuple[str, ...] = ()
    """Further arguments for cargo flamegraph."""
    at: datetime = field(default_factory=lambda: datetime.now().astimezone())
    """When; the SVG's name says it."""


class CargoFlamegraph:
    """The flame graph of a cargo target, built first."""

    name = "cargo-flamegraph"
    title = "cargo flamegraph"
    answers = "Where does the CPU time of a binary, test or bench of this project go?"
    cost = "A few percent while it samples; then the stacks are unwound, which can take minutes."

    def probe(self, host: Host) -> Capabilities:
        for program in ("cargo", "cargo-flamegraph", "perf"):
            if host.has_tool(program) is None:
                return Capabilities(False, f"{program} is not installed", fix=install_command(program))
        return perf_record.PerfRecord().probe(host)

    def defaults(self, host: Host) -> CargoOptions:
        """For the project in the current folder; the window and the command line set theirs."""
        return CargoOptions(project=Path.cwd(), event=host.default_event)

    def plan(self, target: Target, options: CargoOptions, out: Path) -> Plan:
        svg = out / f"cpu_flamegraph_{options.at:%Y%m%d_%H%M%S}.svg"
        data = out / "perf.data"
        # cargo flamegraph splits this at every blank, so a path with one in it cannot be given.
        in_place = not re.search(r"\s", str(data))
        return Plan(
            tool=self.name,
            argv=(
                *("cargo", "flamegraph", *_selection(options), "--ignore-status", *options.extra),
                *("--cmd", _perf_command(options, data if in_place else None), "--output", str(svg)),
                *(("--", *target.args) if target.args else ()),
            ),
            target=target,
            out=out,
            artifacts=MappingProxyType({"svg": svg, "perf.data": data}),
            primary="svg",
            cwd=options.project,
            duration_s=options.duration_s,
            builds_first=True,
            moves=MappingProxyType({} if in_place else {options.project / "perf.data": data}),
            samples_hz=float(options.frequency),
            own_lines=_OWN_LINES,
        )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        where = plan.cwd or Path.cwd()
        if "no such command: `flamegraph`" in output:
            return ToolFailed("cargo flamegraph is not installed.", advice=install_command("cargo-flamegraph"))
        if re.search(r"no (bin|test|bench|example) target named|could not find desired target", output):
            return ToolFailed(
                f"The project in {where} has no such target.",
                advice="`cargo build --bin` (or --test, --bench, --example) without a name lists what there is.",
                details=output,
            )
        if "several possible targets found" in output or "crate has no automatically selectable target" in output:
            return ToolFailed(
                f"The project in {where} has not exactly one target to choose by itself.",
                advice="Name the binary, test, bench or example.",
                details=output,
            )
        if "could not compile" in output or "cargo build failed" in output or "failed to parse manifest" in output:
            return ToolFailed(
                f"The project in {where} does not build.",
                advice="The compiler's words are in the console.",
                details=output,
            )
        return perf_record.explain(output, {"perf.data": plan.artifacts["perf.data"]})


# While it builds, all of stderr is cargo's anyway; afterwards these are mixed with what the target writes.
_OWN_LINES = re.compile(
    perf_record.OWN_LINES.pattern
    + r"|^(Running perf script .*|writing flamegraph to .*|(failed to sample program|Error: ).*)$"
)


def _selection(options: CargoOptions) -> tuple[str, ...]:
    words: list[str] = []
    if options.profile:
        words += ["--profile", options.profile]
    if options.package:
        words += ["--package", options.package]
    if options.features:
        words += ["--features", ",".join(options.features)]
    if options.name or options.kind is CargoKind.UNIT_TEST:
        words += [f"--{options.kind.value}", *([options.name] if options.name else [])]
    return tuple(words)


def _perf_command(options: CargoOptions, data: Path | None) -> str:
    """One argument of cargo flamegraph; nothing in it needs quotes, and it would not understand them."""
    call_graph = options.call_graph.value
    if options.call_graph is perf_record.CallGraph.DWARF:
        call_graph = f"dwarf,{options.dwarf_stack}"
    words = ["record", "-k", "CLOCK_MONOTONIC", "-F", str(options.frequency), "-e", options.event]
    words += ["--call-graph", call_graph]
    if data is not None:
        words += ["-o", str(data)]
    return " ".join(words)
