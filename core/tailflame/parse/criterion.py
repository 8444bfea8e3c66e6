"""A folder of criterion: target/criterion, or a benchmark of it.

GROUP/FUNCTION/VALUE/{new, base, BASELINE}/{benchmark.json, estimates.json, sample.json, tukey.json} for the latest run,
the one before, and saved baselines; change/estimates.json for what criterion made of the last two. After a plain run
`base` is a copy of `new`, so it is left out where it is one. GROUP/FUNCTION/VALUE/profile/flamegraph.svg is what
`--profile-time` leaves with pprof. Source: criterion.rs 0.5 to 0.7, src/fs.rs and src/analysis/mod.rs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, Meta, Recording
from tailflame.model.benchmarks import Benchmark, BenchmarkRun, Estimate
from tailflame.model.stacks import Float64, readonly
from tailflame.parse.source import Progress
from tailflame.units import count

LATEST = "new"
BEFORE = "base"
_CHANGE = "change"
_PROFILE = "profile"
_FILE_LIMIT = 64 * 1024 * 1024
_DEEPEST = 6
"""Folders below the one that is opened: group, function, value, run."""
_MOST_FOLDERS = 20_000


class Criterion:
    """A folder that has a run of a benchmark somewhere below."""

    def holds(self, path: Path) -> bool:
        try:
            return next(_runs(path), None) is not None
        except OSError:
            return False

    def load(self, path: Path, *, progress: Progress | None = None) -> Recording:
        """The latest run first, then each saved baseline. ParseError where not one benchmark can be read."""
        return _load(path, progress)


CRITERION = Criterion()


def flame_graphs(path: Path) -> dict[str, Path]:
    """The flame graphs that `cargo bench -- --profile-time` with pprof has left below `path`, by the benchmark's name:
    GROUP/FUNCTION/VALUE/profile/flamegraph.svg. Empty where there are none.
    """
    try:
        return {_name_of(file.parent.parent, path): file for file in _profiles(path)}
    except OSError:
        return {}


def _profiles(path: Path, depth: int = 0, seen: list[int] | None = None) -> Iterator[Path]:
    """As `_runs`: no links, not too deep, not too many."""
    seen = seen if seen is not None else [0]
    seen[0] += 1
    if seen[0] > _MOST_FOLDERS or path.is_symlink():
        return
    graph = path / _PROFILE / "flamegraph.svg"
    if graph.is_file() and not graph.is_symlink():
        yield graph
    if depth < _DEEPEST:
        for folder in sorted(path.iterdir()):
            if folder.is_dir() and folder.name != _PROFILE:
                yield from _profiles(folder, depth + 1, seen)


def _name_of(folder: Path, root: Path) -> str:
    """A benchmark's full id: by one of its runs; else by its folders, in which criterion replaces what no file name may
    hold.
    """
    for about in sorted(folder.glob("*/benchmark.json")):
        try:
            name = _document(about).get("full_id")
        except ParseError:
            continue
        if isinstance(name, str) and name:
            return name
    parts = folder.relative_to(root).parts
    return "/".join(parts[1:] if parts[:1] == ("criterion",) else parts) or folder.name


def _load(path: Path, progress: Progress | None) -> Recording:
    folders = list(_runs(path))
    runs: dict[str, list[Benchmark]] = {}
    damaged: list[ParseError] = []
    for number, folder in enumerate(folders):
        try:
            benchmark = _benchmark(folder)
        except ParseError as error:
            damaged.append(error)
        else:
            runs.setdefault(folder.name, []).append(benchmark)
        if progress is not None:
            progress((number + 1) / len(folders))
    _drop_copies(runs)
    if not runs:
        raise (
            damaged[0]
            if damaged
            else ParseError(
                f"{path} holds no benchmark of criterion.",
                source=str(path),
                advice="Open the folder target/criterion that `cargo bench` leaves.",
            )
        )
    cautions = []
    if damaged:
        what = "1 benchmark was" if len(damaged) == 1 else f"{count(len(damaged))} benchmarks were"
        cautions.append(Caution(f"{what} left out: {damaged[0].sentence}", "Run `cargo bench` again."))
    order = sorted(runs, key=lambda name: (name != LATEST, name == BEFORE, name))
    latest = max((b.recorded_at for b in runs[order[0]]), default=0.0)
    return Recording(
        tool="criterion",
        format="criterion",
        source=str(path),
        results=tuple(BenchmarkRun(name, tuple(sorted(runs[name], key=lambda b: b.name))) for name in order),
        meta=Meta(started_at=datetime.fromtimestamp(latest, UTC) if latest else None),
        warnings=tuple(cautions),
    )


def _runs(path: Path, depth: int = 0, seen: list[int] | None = None) -> Iterator[Path]:
    """Folders with an estimates.json and a benchmark.json. Links are not followed: they may lead in a circle."""
    seen = seen if seen is not None else [0]
    seen[0] += 1
    if seen[0] > _MOST_FOLDERS or path.is_symlink():
        return
    if path.name != _CHANGE and (path / "estimates.json").is_file() and (path / "benchmark.json").is_file():
        yield path
        return
    if depth < _DEEPEST:
        for folder in sorted(path.iterdir()):
            if folder.is_dir():
                yield from _runs(folder, depth + 1, seen)


def _drop_copies(runs: dict[str, list[Benchmark]]) -> None:
    """`base` after a plain run is the run itself."""
    latest = {benchmark.name: benchmark for benchmark in runs.get(LATEST, [])}
    kept = [
        benchmark
        for benchmark in runs.get(BEFORE, [])
        if benchmark.name not in latest or not np.array_equal(benchmark.times_ns, latest[benchmark.name].times_ns)
    ]
    runs.pop(BEFORE, None)
    if kept:
        runs[BEFORE] = kept


def _benchmark(folder: Path) -> Benchmark:
    about, estimates = _document(folder / "benchmark.json"), _document(folder / "estimates.json")
    samples = _document(folder / "sample.json")
    iterations = _column(samples, "iters", folder / "sample.json")
    times = _column(samples, "times", folder / "sample.json")
    if len(iterations) != len(times) or not len(times) or bool((iterations <= 0).any()):
        raise _broken(folder / "sample.json", "its samples do not fit together")
    mean, median = _estimate(estimates.get("mean")), _estimate(estimates.get("median"))
    if mean is None or median is None:
        raise _broken(folder / "estimates.json", "it has no mean and median")
    name = str(about.get("full_id") or about.get("title") or folder.parent.name)
    change = folder.parent / _CHANGE / "estimates.json"
    changes = _document(change) if folder.name == LATEST and change.is_file() else {}
    return Benchmark(
        name=name,
        group=str(about.get("group_id") or ""),
        function=str(about.get("function_id") or ""),
        value=str(about.get("value_str") or ""),
        iterations=iterations,
        times_ns=times,
        linear=samples.get("sampling_mode") != "Flat",
        mean=mean,
        median=median,
        std_dev=_estimate(estimates.get("std_dev")),
        slope=_estimate(estimates.get("slope")),
        fences=_fences(folder / "tukey.json"),
        throughput=_throughput(about.get("throughput")),
        change_mean=_estimate(changes.get("mean")),
        change_median=_estimate(changes.get("median")),
        recorded_at=(folder / "estimates.json").stat().st_mtime,
    )


def _document(path: Path) -> dict[str, Any]:
    import orjson

    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise _broken(path, "it is too large")
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _broken(path, (error.strerror or "it cannot be read").lower()) from error
    except ValueError as error:
        raise _broken(path, "it is no JSON") from error
    if not isinstance(value, dict):
        raise _broken(path, "it is no JSON object")
    return value


def _column(document: dict[str, Any], name: str, path: Path) -> Float64:
    values = document.get(name)
    try:
        column = readonly(np.array(values if isinstance(values, list) else [], dtype=np.float64), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _broken(path, f"its “{name}” are no numbers") from error
    if column.ndim != 1 or not bool(np.isfinite(column).all()) or bool((column < 0).any()):
        raise _broken(path, f"its “{name}” are no numbers")
    return column


def _estimate(value: object) -> Estimate | None:
    """{"confidence_interval": {"confidence_level": 0.95, "lower_bound": 41.2, "upper_bound": 41.9},
    "point_estimate": 41.5, "standard_error": 0.2}; None for null and for anything else.
    """
    if not isinstance(value, dict) or not isinstance(interval := value.get("confidence_interval"), dict):
        return None
    figures = [
        value.get("point_estimate"), interval.get("lower_bound"), interval.get("upper_bound"),
        value.get("standard_error"), interval.get("confidence_level"),
    ]  # fmt: skip
    if not all(isinstance(f, int | float) and not isinstance(f, bool) and math.isfinite(f) for f in figures):
        return None
    point, low, high, error, level = (float(figure) for figure in figures if figure is not None)
    return Estimate(point=point, low=low, high=high, error=error, level=level)


def _fences(path: Path) -> tuple[float, float, float, float] | None:
    import orjson

    try:
        values = orjson.loads(path.read_bytes())
        one, two, three, four = (float(value) for value in values)
    except (OSError, ValueError, TypeError):
        return None
    return one, two, three, four


def _throughput(value: object) -> tuple[str, float] | None:
    if isinstance(value, dict) and len(value) == 1:
        kind, amount = next(iter(value.items()))
        if isinstance(amount, int | float) and not isinstance(amount, bool) and amount > 0:
            return str(kind), float(amount)
    return None


def _broken(path: Path, why: str) -> ParseError:
    return ParseError(f"{path} cannot be read: {why}.", source=str(path), advice="Run `cargo bench` again.")
