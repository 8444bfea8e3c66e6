"""The profilers Tailflame can launch. A new one is one file here and one entry in TOOLS."""

from __future__ import annotations

from typing import Any

from tailflame.tools.base import (
    Capabilities,
    Capability,
    Family,
    FieldTool,
    OptionField,
    OptionKind,
    Plan,
    Request,
    SlowDown,
    Step,
    Target,
    TargetIs,
    Tool,
    ToolOptions,
    command_line,
)
from tailflame.tools.bpftrace import Bpftrace
from tailflame.tools.cachegrind import Cachegrind
from tailflame.tools.callgrind import Callgrind
from tailflame.tools.cargo_bench import BenchOptions, CargoBench
from tailflame.tools.cargo_flamegraph import CargoFlamegraph, CargoKind, CargoOptions
from tailflame.tools.checks import doctor, preflight
from tailflame.tools.dhat import Dhat
from tailflame.tools.findings import Finding, Level
from tailflame.tools.heaptrack import Heaptrack
from tailflame.tools.jemalloc import JemallocProfiler
from tailflame.tools.massif import Massif
from tailflame.tools.perf_record import CallGraph, PerfOptions, PerfRecord
from tailflame.tools.perf_stat import PerfStat
from tailflame.tools.plain_run import PlainOptions, PlainRun
from tailflame.tools.strace import Strace

PERF_RECORD = PerfRecord()
CARGO_FLAMEGRAPH = CargoFlamegraph()
FIELD_TOOLS: tuple[FieldTool, ...] = (
    PerfStat(),
    Heaptrack(),
    Massif(),
    Dhat(),
    JemallocProfiler(),
    Bpftrace(),
    Strace(),
    Cachegrind(),
    Callgrind(),
)
"""The tools whose options are described by fields, in the order of lists."""
PLAIN_RUN = PlainRun()
CARGO_BENCH = CargoBench()
TOOLS: tuple[Tool[Any], ...] = (PERF_RECORD, CARGO_FLAMEGRAPH, *FIELD_TOOLS)


def tool_named(name: str) -> Tool[Any]:
    """The tool called `name`; StopIteration where there is none."""
    return next(tool for tool in (*TOOLS, PLAIN_RUN, CARGO_BENCH) if tool.name == name)


def field_tool(name: str) -> FieldTool | None:
    """The tool of FIELD_TOOLS called `name`."""
    return next((tool for tool in FIELD_TOOLS if tool.name == name), None)


__all__ = [
    "CARGO_BENCH",
    "CARGO_FLAMEGRAPH",
    "FIELD_TOOLS",
    "PERF_RECORD",
    "PLAIN_RUN",
    "TOOLS",
    "BenchOptions",
    "CallGraph",
    "Capabilities",
    "Capability",
    "CargoBench",
    "CargoFlamegraph",
    "CargoKind",
    "CargoOptions",
    "Family",
    "FieldTool",
    "Finding",
    "Level",
    "OptionField",
    "OptionKind",
    "PerfOptions",
    "PerfRecord",
    "PlainOptions",
    "PlainRun",
    "Plan",
    "Request",
    "SlowDown",
    "Step",
    "Target",
    "TargetIs",
    "Tool",
    "ToolOptions",
    "command_line",
    "doctor",
    "field_tool",
    "preflight",
    "tool_named",
]
