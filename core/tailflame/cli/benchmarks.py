"""Criterion's benchmarks on the command line: what they take, and criterion's verdict on what changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tailflame.analyse.criterion_rule import Judged, Verdict, judge
from tailflame.cli.result_kind import Section
from tailflame.cli.terminal import STYLES, Terminal, add_row, plain_table
from tailflame.model import Recording
from tailflame.model.benchmarks import Benchmark, BenchmarkRun, Estimate
from tailflame.units import count, interval_text, nanoseconds, signed_percent, with_percent

_STYLES = {Verdict.IMPROVED: STYLES["less"], Verdict.REGRESSED: STYLES["more"]}
_OF_MEANS = "Samples are means of many iterations: they say nothing of single slow calls."


class BenchmarksKind:
    """What `cargo bench` leaves. Of several runs in one folder the latest is shown, and compared with the others."""

    key = "benchmarks"

    def held(self, recording: Recording) -> bool:
        return bool(recording.benchmarks)

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """JSON: [{"run", "benchmarks": [{"name", "samples", "iterations", "time", "mean", "median", "slope", "std_dev",
        "outliers", "throughput", "change"}]}]; an estimate is {"point", "low", "high"} in ns.
        """
        latest, *others = recording.benchmarks
        table = plain_table(
            "benchmark", *((name, "right") for name in ("low", "time", "high", "p50", "samples", "outliers"))
        )
        for benchmark in latest.benchmarks:
            typical = benchmark.typical
            add_row(
                table,
                [
                    benchmark.name,
                    *(nanoseconds(value) for value in (typical.low, typical.point, typical.high)),
                    nanoseconds(benchmark.median.point),
                    count(len(benchmark.times_ns)),
                    count(outliers(benchmark)),
                ],
            )
        terminal.table(table)
        terminal.note(_OF_MEANS)
        for run in others:
            terminal.line()
            terminal.line(f"since {run.name}", style="bold")
            _print_changes(run, latest, terminal)
        return [{"run": run.name, "benchmarks": [_document(b) for b in run.benchmarks]} for run in recording.benchmarks]

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        judged = _print_changes(before.benchmarks[0], after.benchmarks[0], terminal)
        terminal.note(_OF_MEANS)
        worse = [name for name, one in judged if one.verdict is Verdict.REGRESSED and one.change.point > beyond]
        return Section([_change_document(name, one) for name, one in judged], tuple(worse))


BENCHMARKS_KIND = BenchmarksKind()


def outliers(benchmark: Benchmark) -> int:
    """Samples beyond the mild fences; 0 where the file has none."""
    if benchmark.fences is None:
        return 0
    _severe, low, high, _more = benchmark.fences
    each = benchmark.per_iteration_ns
    return int(np.count_nonzero((each < low) | (each > high)))


def _print_changes(before: BenchmarkRun, after: BenchmarkRun, terminal: Terminal) -> list[tuple[str, Judged]]:
    table = plain_table(
        "benchmark", *((name, "right") for name in ("before", "after", "change", "95 % interval, %", "p")), ""
    )
    judged = []
    for benchmark in after.benchmarks:
        earlier = before.named(benchmark.name)
        if earlier is None:
            continue
        one = judge(earlier, benchmark)
        judged.append((benchmark.name, one))
        add_row(
            table,
            [
                benchmark.name,
                nanoseconds(earlier.mean.point),
                nanoseconds(benchmark.mean.point),
                with_percent(signed_percent(one.change.point, digits=1)),
                interval_text(one.change.low, one.change.high),
                "" if math.isnan(one.p) else f"{one.p:.2f}",
                one.verdict.value,
            ],
            style=_STYLES.get(one.verdict, STYLES["noise"]),
        )
    terminal.table(table)
    return judged


def _document(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "samples": len(benchmark.times_ns),
        "iterations": float(benchmark.iterations.sum()),
        "time": _estimate(benchmark.typical),
        "mean": _estimate(benchmark.mean),
        "median": _estimate(benchmark.median),
        "slope": _estimate(benchmark.slope),
        "std_dev": _estimate(benchmark.std_dev),
        "outliers": outliers(benchmark),
        "throughput": {"kind": benchmark.throughput[0], "amount": benchmark.throughput[1]}
        if benchmark.throughput
        else None,
        "change": _estimate(benchmark.change_mean),
    }


def _estimate(estimate: Estimate | None) -> dict[str, float] | None:
    return {"point": estimate.point, "low": estimate.low, "high": estimate.high} if estimate is not None else None


def _change_document(name: str, judged: Judged) -> dict[str, Any]:
    return {
        "name": name,
        "change": _estimate(judged.change),
        "p": None if math.isnan(judged.p) else judged.p,
        "verdict": judged.verdict.value,
    }
