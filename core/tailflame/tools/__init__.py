"""The profilers Tailflame can launch. A new one is one file here and one entry in TOOLS."""

from __future__ import annotations

from tailflame.tools.base import Capabilities, Capability, Plan, Target, Tool, command_line
from tailflame.tools.cargo_flamegraph import CargoFlamegraph, CargoKind, CargoOptions
from tailflame.tools.checks import Finding, Level, doctor, preflight
from tailflame.tools.perf_record import CallGraph, PerfOptions, PerfRecord

PERF_RECORD = PerfRecord()
CARGO_FLAMEGRAPH = CargoFlamegraph()
TOOLS = (PERF_RECORD, CARGO_FLAMEGRAPH)


def tool_named(name: str) -> PerfRecord | CargoFlamegraph:
    """The tool called `name`."""
    return next(tool for tool in TOOLS if tool.name == name)


__all__ = [
    "CARGO_FLAMEGRAPH",
    "PERF_RECORD",
    "TOOLS",
    "CallGraph",
    "Capabilities",
    "Capability",
    "CargoFlamegraph",
    "CargoKind",
    "CargoOptions",
    "Finding",
    "Level",
    "PerfOptions",
    "PerfRecord",
    "Plan",
    "Target",
    "Tool",
    "command_line",
    "doctor",
    "preflight",
    "tool_named",
]
