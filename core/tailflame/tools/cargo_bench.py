"""`cargo bench` with criterion: builds the project's benchmarks, runs them, and keeps what criterion leaves.

CRITERION_HOME puts its folder where the result belongs. Saved baselines stay in the project's own target/criterion,
where `cargo bench` by itself finds them: so with --save-baseline or --baseline that folder is used, and copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, ToolFailed
from tailflame.host.install import install_command
from tailflame.host.system import Host
from tailflame.tools.base import Capabilities, Plan, Step, Target, TargetIs

_OWN_LINES = re.compile(r"^\s*(Compiling|Finished|Running|Blocking|Downloading|Downloaded|Updating|warning|error)\b.*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """The wishes of one `cargo bench`. It runs in `project`.

    filter: only benchmarks whose name holds it. save_baseline, baseline: criterion's own names. profile_time_s: profile
    each benchmark so long, with the profiler that the benches name (pprof), in place of measuring it.
    """

    project: Path
    home: Path
    """The project's own folder of criterion: target/criterion."""
    package: str = ""
    bench: str = ""
    features: tuple[str, ...] = ()
    filter: str = ""
    save_baseline: str = ""
    baseline: str = ""
    profile_time_s: float | None = None
    extra: tuple[str, ...] = ()
    """Further arguments for the benchmarks."""


class CargoBench:
    """What each benchmark takes."""

    name = "cargo-bench"
    title = "cargo bench"
    answers = "How long does each benchmark take, and did it change?"
    cost = "It builds first; then each benchmark runs about eight seconds by criterion's own choice."

    def probe(self, host: Host) -> Capabilities:
        if host.has_tool("cargo") is None:
            return Capabilities(False, "cargo is not installed", fix=install_command("cargo"))
        return Capabilities(True)

    def defaults(self, host: Host) -> BenchOptions:
        """For the project in the current folder."""
        return BenchOptions(project=Path.cwd(), home=Path.cwd() / "target" / "criterion")

    def plan(self, target: Target, options: BenchOptions, out: Path) -> Plan:
        argv = ["cargo", "bench"]
        if options.package:
            argv += ["--package", options.package]
        if options.bench:
            argv += ["--bench", options.bench]
        if options.features:
            argv += ["--features", ",".join(options.features)]
        words: list[str] = []
        if options.save_baseline:
            words += ["--save-baseline", options.save_baseline]
        if options.baseline:
            words += ["--baseline", options.baseline]
        if options.profile_time_s is not None:
            words += ["--profile-time", f"{options.profile_time_s:g}"]
        words += options.extra
        if options.filter:
            words.append(options.filter)
        if words:
            argv += ["--", *words]
        if options.profile_time_s is not None:
            return self._profiling(tuple(argv), target, options, out)
        copied = bool(options.save_baseline or options.baseline)
        copy = Step(title="copying", argv=("cp", "-R", "--", str(options.home), str(out / "criterion")))
        return Plan(
            tool=self.name,
            argv=tuple(argv),
            target=target,
            out=out,
            artifacts=MappingProxyType({"criterion": out / "criterion"}),
            primary="criterion",
            cwd=options.project,
            env=MappingProxyType({} if copied else {"CRITERION_HOME": str(out / "criterion")}),
            after=(copy,) if copied else (),
            builds_first=True,
            own_lines=_OWN_LINES,
            target_is=TargetIs.CHILD,
            grows=("criterion/**/*.json",),
        )

    def _profiling(self, argv: tuple[str, ...], target: Target, options: BenchOptions, out: Path) -> Plan:
        """The flame graphs that the benches' own profiler (pprof) draws: one a benchmark, of which one opens."""
        graph = out / "flamegraph.svg"
        # Of several the last one found: the others stay beside it, and open like any file.
        take = (
            "find",
            str(out / "criterion"),
            "-path",
            "*/profile/flamegraph.svg",
            "-exec",
            "cp",
            "{}",
            str(graph),
            ";",
        )
        return Plan(
            tool=self.name,
            argv=argv,
            target=target,
            out=out,
            artifacts=MappingProxyType({"svg": graph}),
            primary="svg",
            cwd=options.project,
            env=MappingProxyType({"CRITERION_HOME": str(out / "criterion")}),
            after=(Step(title="collecting the flame graphs", argv=take),),
            builds_first=True,
            own_lines=_OWN_LINES,
            target_is=TargetIs.CHILD,
            leaves=("criterion/**/profile/flamegraph.svg",),
            grows=("criterion/**/*.svg",),
        )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        where = plan.cwd or Path.cwd()
        if re.search(r"no bench target|can't find .* bench", output):
            return ToolFailed(
                f"The project in {where} has no such benchmark.",
                advice="`cargo bench --bench` without a name lists what there is.",
                details=output,
            )
        if re.search(r"could not compile|failed to parse manifest|could not find `Cargo.toml`", output):
            return ToolFailed(
                f"The benchmarks in {where} do not build.", advice="`cargo bench` there tells why.", details=output
            )
        if re.search(r"Baseline `.*` must exist", output) or "must exist before comparison is allowed" in output:
            return ToolFailed(
                "Criterion has no baseline of that name.",
                advice="Save one first: tailflame bench --save-baseline NAME",
                details=output,
            )
        return None
