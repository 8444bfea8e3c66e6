"""Runs of benchmarks in a stored recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from tailflame.errors import StoreError
from tailflame.model.benchmarks import Benchmark, BenchmarkRun, Estimate
from tailflame.store.files import Fields
from tailflame.store.tables import Array, Columns, decode_table

_SAMPLES = (("iterations", "<f8"), ("times_ns", "<f8"))
_ESTIMATES = ("mean", "median", "std_dev", "slope", "change_mean", "change_median")


def encode_benchmarks(run: BenchmarkRun, prefix: str, columns: Columns) -> dict[str, Any]:
    for name, dtype in _SAMPLES:
        parts = [getattr(benchmark, name) for benchmark in run.benchmarks]
        columns[f"{prefix}.{name}"] = np.concatenate([np.zeros(0), *parts]).astype(dtype)
    return {"name": run.name, "benchmarks": [_encode(benchmark) for benchmark in run.benchmarks]}


def _encode(benchmark: Benchmark) -> dict[str, Any]:
    estimates = {name: getattr(benchmark, name) for name in _ESTIMATES}
    return {
        "name": benchmark.name,
        "group": benchmark.group,
        "function": benchmark.function,
        "value": benchmark.value,
        "samples": len(benchmark.times_ns),
        "linear": benchmark.linear,
        "fences": list(benchmark.fences) if benchmark.fences else None,
        "throughput": {"kind": benchmark.throughput[0], "amount": benchmark.throughput[1]}
        if benchmark.throughput
        else None,
        "recorded_at": benchmark.recorded_at,
        **{name: asdict(estimate) if estimate is not None else None for name, estimate in estimates.items()},
    }


def decode_benchmarks(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> BenchmarkRun:
    table = decode_table(fields, prefix, _SAMPLES, columns)
    made, begin = [], 0
    for part in fields.parts("benchmarks"):
        end = begin + part.integer("samples")
        made.append(_decode(part, table["iterations"][begin:end], table["times_ns"][begin:end]))
        if not begin < end <= len(table["times_ns"]):
            raise StoreError(f"{fields.what} is damaged: the samples of {prefix} do not fit together.")
        begin = end
    if begin != len(table["times_ns"]) or bool((table["iterations"] <= 0).any()):
        raise StoreError(f"{fields.what} is damaged: the samples of {prefix} do not fit together.")
    return BenchmarkRun(fields.text("name"), tuple(made))


def _decode(part: Fields, iterations: Array, times: Array) -> Benchmark:
    estimates = {name: _estimate(part.part(name)) if name in part else None for name in _ESTIMATES}
    mean, median = estimates.pop("mean"), estimates.pop("median")
    if mean is None or median is None:
        raise part.wrong("mean", "an estimate")
    fences = part.document.get("fences")
    through = part.part("throughput") if "throughput" in part else None
    known = isinstance(fences, list) and len(fences) == 4 and all(isinstance(f, int | float) for f in fences)
    return Benchmark(
        name=part.text("name"),
        group=part.text("group", ""),
        function=part.text("function", ""),
        value=part.text("value", ""),
        iterations=iterations,
        times_ns=times,
        linear=part.flag("linear", False),
        mean=mean,
        median=median,
        fences=(fences[0], fences[1], fences[2], fences[3]) if known and isinstance(fences, list) else None,
        throughput=(through.text("kind"), through.number("amount") or 0.0) if through is not None else None,
        recorded_at=part.number("recorded_at") or 0.0,
        **estimates,
    )


def _estimate(part: Fields) -> Estimate:
    figures = {name: part.number(name) for name in ("point", "low", "high", "error", "level")}
    return Estimate(**{name: 0.0 if figure is None else figure for name, figure in figures.items()})
