"""Benchmarks as table columns: what they take, and criterion's verdict on what changed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailflame.analyse.criterion_rule import Judged, Verdict
from tailflame.model.benchmarks import Benchmark
from tailflame.units import count, interval_text, nanoseconds, signed_percent, with_percent
from tailflame_gui.models.session_table import Field

_MARKS = {
    Verdict.IMPROVED: ("circle-check", "good"),
    Verdict.REGRESSED: ("triangle-alert", "bad"),
}
FEW_SAMPLES = 1000
"""The method asks for so many, or for ten seconds of them."""
LONG_ENOUGH_NS = 10e9


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkRow:
    """One benchmark; `before` and `judged` where there is another run of it. flame: a profiler's flame graph of it is
    there, and opens on Return.
    """

    after: Benchmark
    before: Benchmark | None = None
    judged: Judged | None = None
    flame: bool = False


def fields(*, compared: bool) -> tuple[Field[BenchmarkRow], ...]:
    shown = [
        Field[BenchmarkRow]("Benchmark", lambda row: row.after.name, lambda row: row.after.name.casefold(), 0,
            tip=lambda row: "Return opens its flame graph." if row.flame else "",
            icon=lambda row: ("flame", "second") if row.flame else None,
        ),
        Field[BenchmarkRow](
            "Time", lambda row: nanoseconds(row.after.typical.point), lambda row: row.after.typical.point, 96,
            right=True, mono=True, tip=_what_time,
        ),
        Field[BenchmarkRow](
            "95 % interval", _interval, lambda row: row.after.typical.low, 170, right=True, mono=True, leaves=True
        ),
        Field[BenchmarkRow](
            "p50", lambda row: nanoseconds(row.after.median.point), lambda row: row.after.median.point, 90, right=True,
            mono=True, tip=lambda _row: "Of the samples, which are means of many iterations.",
        ),
        Field[BenchmarkRow](
            "Samples", lambda row: count(len(row.after.times_ns)), lambda row: len(row.after.times_ns), 80, right=True,
            mono=True, tip=enough, icon=lambda row: ("info", "second") if enough(row) else None,
        ),
    ]  # fmt: skip
    if compared:
        shown += [
            Field[BenchmarkRow](
                "Change", lambda row: _percent(row.judged), lambda row: row.judged.change.point if row.judged else 0.0,
                80, right=True, mono=True,
            ),
            Field[BenchmarkRow](
                "95 % interval, %",
                lambda row: interval_text(row.judged.change.low, row.judged.change.high) if row.judged else "",
                lambda row: row.judged.change.low if row.judged else 0.0, 140, right=True, mono=True,
            ),
            Field[BenchmarkRow](
                "p", _p_text, lambda row: row.judged.p if row.judged else 2.0, 56, right=True, mono=True
            ),
            Field[BenchmarkRow](
                "Criterion says", lambda row: row.judged.verdict.value if row.judged else "no other run",
                lambda row: row.judged.verdict.value if row.judged else "", 260,
                icon=lambda row: _MARKS.get(row.judged.verdict) if row.judged else None,
                muted=lambda row: row.judged is None or row.judged.verdict not in _MARKS,
            ),
        ]  # fmt: skip
    return tuple(shown)


def enough(row: BenchmarkRow) -> str:
    """Why the samples are too few to judge a small change by; "" where they are enough."""
    samples, lasted = len(row.after.times_ns), float(np.sum(row.after.times_ns))
    if samples >= FEW_SAMPLES or lasted >= LONG_ENOUGH_NS:
        return ""
    return f"{count(samples)} samples in {nanoseconds(lasted)}: ask for {FEW_SAMPLES:,} samples or 10 s of them."


def _what_time(row: BenchmarkRow) -> str:
    if row.after.slope is not None:
        return "The slope of time by iterations, as criterion prints it."
    return "The mean of the samples: there is no slope, since each has as many iterations."


def _interval(row: BenchmarkRow) -> str:
    typical = row.after.typical
    return f"{nanoseconds(typical.low)} to {nanoseconds(typical.high)}"


def _percent(judged: Judged | None) -> str:
    return "" if judged is None else with_percent(signed_percent(judged.change.point, digits=1))


def _p_text(row: BenchmarkRow) -> str:
    return "" if row.judged is None or math.isnan(row.judged.p) else f"{row.judged.p:.2f}"
