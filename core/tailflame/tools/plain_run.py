"""The program by itself, with no profiler: what it logs of its own latencies is the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError
from tailflame.host.system import Host
from tailflame.tools.base import Capabilities, Plan, Target, TargetIs


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOptions:
    """log: the name of the file in the run's folder that the program writes."""

    log: str
    duration_s: float | None = None


class PlainRun:
    """Latencies as the program tells them, undisturbed."""

    name = "latency"
    title = "the program's own latencies"
    answers = "How long do its calls take, percentile by percentile, when no profiler looks?"
    cost = "Nothing but what the program's own log costs."

    def probe(self, host: Host) -> Capabilities:
        return Capabilities(True)

    def defaults(self, host: Host) -> PlainOptions:
        return PlainOptions(log="latency.hlog")

    def plan(self, target: Target, options: PlainOptions, out: Path) -> Plan:
        log = out / options.log
        return Plan(
            tool=self.name,
            argv=target.argv,
            target=target,
            out=out,
            artifacts=MappingProxyType({options.log: log}),
            primary=options.log,
            cwd=target.cwd,
            duration_s=options.duration_s,
            target_is=TargetIs.ITSELF,
        )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return None
