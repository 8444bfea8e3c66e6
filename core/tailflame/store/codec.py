"""A Recording as a JSON header and named columns, and back.

Everything a view shows is inside: names, modules, source lines, build ids, threads, events, weights. Nothing
is looked up in a binary again, so that a recording reads identically after `cargo build` has replaced it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailflame.errors import StoreError
from tailflame.model import (
    Caution,
    CounterSeries,
    Event,
    FrameKind,
    FrameTable,
    Histogram,
    HistogramSeries,
    Machine,
    Meta,
    Recording,
    SampleTable,
    SiteTable,
    StackProfile,
    StackTable,
    Thread,
)
from tailflame.model.counters import STATUSES, Kept
from tailflame.model.live import Cost, StageSlice
from tailflame.model.live_record import LiveRecord, Mark
from tailflame.model.recording import Result
from tailflame.model.slices import SliceSeries
from tailflame.model.slow_calls import SlowCalls
from tailflame.parse import live_lines
from tailflame.store.files import Fields
from tailflame.store.result_codecs import decode_more, encode_more
from tailflame.store.slice_fields import decode_slices, encode_slices
from tailflame.store.tables import Array, Columns, decode_table
from tailflame.store.upgrade import RECORDING
from tailflame.units import Unit

_FRAME_COLUMNS = (("name", "<i4"), ("module", "<i4"), ("file", "<i4"), ("line", "<i4"), ("kind", "|u1"))
_STACK_COLUMNS = (("frame", "<i4"), ("parent", "<i4"))
_SAMPLE_COLUMNS = (
    ("stack", "<i4"),
    ("count", "<f8"),
    ("period", "<f8"),
    ("time_ns", "<i8"),
    ("thread", "<i4"),
    ("cpu", "<i4"),
    ("event", "<i4"),
)
_SITE_COLUMNS = (("module", "<i4"), ("address", "<u8"))
_HISTOGRAM_COLUMNS = (
    ("counts", "<i8"),
    ("length", "<i8"),
    ("lowest", "<i8"),
    ("digits", "<i4"),
    ("start_s", "<f8"),
    ("length_s", "<f8"),
)
_SLOW_COLUMNS = (("tid", "<i4"), ("start_ns", "<i8"), ("end_ns", "<i8"))
_COUNTER_COLUMNS = (
    ("series", "<i4"),
    ("start_s", "<f8"),
    ("length_s", "<f8"),
    ("value", "<f8"),
    ("running", "<f8"),
    ("status", "|u1"),
)


def encode(recording: Recording) -> tuple[dict[str, Any], Columns]:
    """(header, columns) to hand to `write_columns`."""
    columns: Columns = {}
    header = {
        "format": "tailflame recording",
        "version": RECORDING.version,
        "tool": recording.tool,
        "parser": recording.format,
        "source": recording.source,
        "meta": _encode_meta(recording.meta),
        "warnings": [{"text": w.text, "fix": w.fix} for w in recording.warnings],
        "results": [_encode_result(result, f"{index}", columns) for index, result in enumerate(recording.results)],
    }
    if recording.baseline is not None:
        header["baseline"] = _encode_result(recording.baseline, "baseline", columns)
    return header, columns


def decode(fields: Fields, columns: Mapping[str, Array]) -> Recording:
    """The recording; StoreError where the header or a column is not what `encode` makes."""
    fields = RECORDING.upgraded(fields)
    baseline = _decode_stacks(fields.part("baseline"), "baseline", columns) if "baseline" in fields else None
    return Recording(
        tool=fields.text("tool"),
        format=fields.text("parser"),
        source=fields.text("source"),
        results=tuple(_decode_result(part, f"{index}", columns) for index, part in enumerate(fields.parts("results"))),
        meta=_decode_meta(fields.part("meta")),
        warnings=tuple(Caution(part.text("text"), part.text("fix", "")) for part in fields.parts("warnings")),
        baseline=baseline,
    )


def _encode_meta(meta: Meta) -> dict[str, Any]:
    machine = meta.machine
    return {
        "command": list(meta.command),
        "tool_argv": list(meta.tool_argv),
        "tool_version": meta.tool_version,
        "started_at": meta.started_at.isoformat() if meta.started_at else None,
        "duration_s": meta.duration_s,
        "rate_asked_hz": meta.rate_asked_hz,
        "rate_granted_hz": meta.rate_granted_hz,
        "lost": meta.lost,
        "outcome": meta.outcome,
        "machine": {
            "hostname": machine.hostname,
            "kernel": machine.kernel,
            "arch": machine.arch,
            "cpu": machine.cpu,
            "cpus": machine.cpus,
        },
        "build_ids": [{"module": module, "build_id": build_id} for module, build_id in meta.build_ids],
        "title": meta.title,
    }


def _decode_meta(fields: Fields) -> Meta:
    machine = fields.part("machine")
    return Meta(
        command=fields.texts("command"),
        tool_argv=fields.texts("tool_argv"),
        tool_version=fields.text("tool_version", ""),
        started_at=fields.moment("started_at"),
        duration_s=fields.number("duration_s"),
        rate_asked_hz=fields.number("rate_asked_hz"),
        rate_granted_hz=fields.number("rate_granted_hz"),
        lost=fields.whole("lost"),
        outcome=fields.text("outcome", ""),
        machine=Machine(
            hostname=machine.text("hostname", ""),
            kernel=machine.text("kernel", ""),
            arch=machine.text("arch", ""),
            cpu=machine.text("cpu", ""),
            cpus=machine.integer("cpus", 0),
        ),
        build_ids=tuple((part.text("module"), part.text("build_id")) for part in fields.parts("build_ids")),
        title=fields.text("title", ""),
    )


def _encode_result(result: Result, prefix: str, columns: Columns) -> dict[str, Any]:
    if isinstance(result, StackProfile):
        return _encode_stacks(result, prefix, columns)
    if isinstance(result, CounterSeries):
        return _encode_counters(result, prefix, columns)
    if isinstance(result, LiveRecord):
        return _encode_live(result, prefix, columns)
    if isinstance(result, SliceSeries):
        return encode_slices(result)
    if isinstance(result, HistogramSeries):
        return _encode_histograms(result, prefix, columns)
    return encode_more(result, prefix, columns)


def _decode_result(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> Result:
    kind = fields.text("kind")
    if kind == "stacks":
        return _decode_stacks(fields, prefix, columns)
    if kind == "histograms":
        return _decode_histograms(fields, prefix, columns)
    if kind == "counters":
        return _decode_counters(fields, prefix, columns)
    if kind == "live":
        return _decode_live(fields, prefix, columns)
    if kind == "slices":
        return decode_slices(fields)
    return decode_more(kind, fields, prefix, columns)


def _encode_stacks(profile: StackProfile, prefix: str, columns: Columns) -> dict[str, Any]:
    tables = (
        ("frames", profile.frames, _FRAME_COLUMNS),
        ("stacks", profile.stacks, _STACK_COLUMNS),
        ("samples", profile.samples, _SAMPLE_COLUMNS),
    )
    for table_name, table, wanted in tables:
        for name, dtype in wanted:
            columns[f"{prefix}.{table_name}.{name}"] = np.asarray(getattr(table, name), dtype=dtype)
    if profile.sites is not None and profile.samples.site is not None:
        for name, dtype in _SITE_COLUMNS:
            columns[f"{prefix}.sites.{name}"] = np.asarray(getattr(profile.sites, name), dtype=dtype)
        columns[f"{prefix}.samples.site"] = np.asarray(profile.samples.site, dtype="<i4")
    return {
        "kind": "stacks",
        "strings": list(profile.frames.strings),
        "threads": [{"name": t.name, "pid": t.pid, "tid": t.tid} for t in profile.threads],
        "events": [_encode_event(event) for event in profile.events],
        "approximate": profile.approximate,
        "in_time_order": profile.in_time_order,
    }


def _decode_stacks(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> StackProfile:
    strings = fields.texts("strings")
    threads = tuple(Thread(t.text("name"), t.integer("pid"), t.integer("tid")) for t in fields.parts("threads"))
    events = tuple(_decode_event(part) for part in fields.parts("events"))
    frames = decode_table(fields, f"{prefix}.frames", _FRAME_COLUMNS, columns)
    stacks = decode_table(fields, f"{prefix}.stacks", _STACK_COLUMNS, columns)
    has_sites = f"{prefix}.samples.site" in columns
    of_samples = (*_SAMPLE_COLUMNS, ("site", "<i4")) if has_sites else _SAMPLE_COLUMNS
    samples = decode_table(fields, f"{prefix}.samples", of_samples, columns)
    sites = decode_table(fields, f"{prefix}.sites", _SITE_COLUMNS, columns) if has_sites else None
    frame_count, stack_count = len(frames["name"]), len(stacks["frame"])

    def within(table: str, name: str, column: Array, low: int, high: int) -> None:
        if len(column) and not (low <= column.min() and column.max() < high):
            raise StoreError(f"{fields.what} is damaged: {prefix}.{table}.{name} points outside its table.")

    within("frames", "name", frames["name"], 0, len(strings))
    within("frames", "module", frames["module"], -1, len(strings))
    within("frames", "file", frames["file"], -1, len(strings))
    within("frames", "kind", frames["kind"], 0, len(FrameKind))
    within("stacks", "frame", stacks["frame"], 0, frame_count)
    within("stacks", "parent", stacks["parent"], -1, stack_count)
    if np.any(stacks["parent"] >= np.arange(stack_count)):
        raise StoreError(f"{fields.what} is damaged: {prefix}.stacks has a parent behind its child.")
    within("samples", "stack", samples["stack"], -1, stack_count)
    if sites is not None:
        within("sites", "module", sites["module"], -1, len(strings))
        within("samples", "site", samples["site"], -1, len(sites["address"]))
    within("samples", "thread", samples["thread"], -1, len(threads))
    within("samples", "event", samples["event"], 0, len(events))
    if not (np.isfinite(samples["count"]).all() and np.isfinite(samples["period"]).all()):
        raise StoreError(f"{fields.what} is damaged: {prefix}.samples holds a weight that is no number.")
    return StackProfile(
        frames=FrameTable(strings=strings, **frames),
        stacks=StackTable(**stacks),
        samples=SampleTable(**samples),
        threads=threads,
        events=events,
        approximate=fields.flag("approximate", False),
        in_time_order=fields.flag("in_time_order", False),
        sites=SiteTable(**sites) if sites is not None else None,
    )


def _encode_event(event: Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "unit": event.unit.value,
        "has_period": event.has_period,
        "counted_in": event.counted_in.value,
        "exact": event.exact,
    }


def _decode_event(fields: Fields) -> Event:
    return Event(
        fields.text("name"),
        _unit(fields, "unit"),
        fields.flag("has_period", False),
        _unit(fields, "counted_in"),
        fields.flag("exact", False),
    )


def _unit(fields: Fields, name: str) -> Unit:
    text = fields.text(name, Unit.SAMPLES.value)
    if text not in set(Unit):
        raise fields.wrong(name, "a known unit")
    return Unit(text)


def _encode_histograms(series: HistogramSeries, prefix: str, columns: Columns) -> dict[str, Any]:
    counts = [np.asarray(histogram.counts, dtype="<i8") for histogram in series.histograms]
    values: dict[str, Array] = {
        "counts": np.concatenate(counts) if counts else np.zeros(0, dtype="<i8"),
        "length": np.array([len(column) for column in counts], dtype="<i8"),
        "lowest": np.array([histogram.lowest for histogram in series.histograms], dtype="<i8"),
        "digits": np.array([histogram.digits for histogram in series.histograms], dtype="<i4"),
        "start_s": np.array(series.start_s, dtype="<f8"),
        "length_s": np.array(series.length_s, dtype="<f8"),
    }
    for name, column in values.items():
        columns[f"{prefix}.{name}"] = column
    return {"kind": "histograms", "tags": list(series.tags), "unit": series.unit}


def _decode_histograms(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> HistogramSeries:
    tags = fields.texts("tags")
    counts = decode_table(fields, prefix, _HISTOGRAM_COLUMNS[:1], columns)["counts"]
    table = decode_table(fields, prefix, _HISTOGRAM_COLUMNS[1:], columns)
    lengths, lowest, digits = table["length"], table["lowest"], table["digits"]
    whole = (
        len(lengths) == len(tags)
        and bool(np.all((lengths >= 0) & (lengths <= len(counts))))
        and int(lengths.sum()) == len(counts)
        and bool(np.all(lowest >= 1))
        and bool(np.all((digits >= 0) & (digits <= 5)))
        and bool(np.all(counts >= 0))
        and bool(np.isfinite(table["start_s"]).all() and np.isfinite(table["length_s"]).all())
    )
    if not whole:
        raise StoreError(f"{fields.what} is damaged: the histograms of {prefix} do not fit together.")
    ends = np.cumsum(lengths)
    return HistogramSeries(
        tags=tags,
        start_s=tuple(table["start_s"].tolist()),
        length_s=tuple(table["length_s"].tolist()),
        histograms=tuple(
            Histogram(counts=counts[end - length : end], lowest=int(low), digits=int(digit))
            for end, length, low, digit in zip(ends, lengths, lowest, digits, strict=True)
        ),
        unit=fields.text("unit", "ns"),
    )


def _encode_counters(series: CounterSeries, prefix: str, columns: Columns) -> dict[str, Any]:
    for name, dtype in _COUNTER_COLUMNS:
        columns[f"{prefix}.{name}"] = np.asarray(getattr(series, name), dtype=dtype)
    if series.spread is not None:
        columns[f"{prefix}.spread"] = np.asarray(series.spread, dtype="<f8")
    about = zip(series.names, series.units, series.simulated, strict=True)
    return {
        "kind": "counters",
        "series": [{"name": n, "unit": u, "simulated": s} for n, u, s in about],
        "runs": series.runs,
        "kept": series.kept.value,
    }


def _decode_counters(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> CounterSeries:
    about = tuple(fields.parts("series"))
    names = tuple(part.text("name") for part in about)
    spread = (("spread", "<f8"),) if f"{prefix}.spread" in columns else ()
    table = decode_table(fields, prefix, (*_COUNTER_COLUMNS, *spread), columns)
    series, status, running = table["series"], table["status"], table["running"]
    whole = (
        len(set(names)) == len(names)
        and bool(np.all((series >= 0) & (series < len(names))))
        and bool(np.all(status < len(STATUSES)))
        and bool(np.all(np.isfinite(table["value"]) == (status == 0)))
        and bool(np.all((running >= 0) & (running <= 1)))
        and bool(np.isfinite(table["start_s"]).all() and np.isfinite(table["length_s"]).all())
        and bool(np.all(np.diff(table["start_s"]) >= 0))
    )
    if not whole:
        raise StoreError(f"{fields.what} is damaged: the readings of {prefix} do not fit together.")
    runs, kept = _runs_kept(fields, table.get("spread"))
    return CounterSeries(
        names=names,
        units=tuple(part.text("unit", "") for part in about),
        simulated=tuple(part.flag("simulated", False) for part in about),
        runs=runs,
        kept=kept,
        **table,
    )


def _runs_kept(fields: Fields, spread: Array | None) -> tuple[int, Kept]:
    """How many runs, and what is kept of them. Before that was stored, 2 stood for any number that was not told, and
    averages alone had a spread.
    """
    runs, word = fields.integer("runs", 0), fields.text("kept", "")
    if not word:
        if spread is None:
            return runs, Kept.EACH
        return (0 if runs == 2 else runs), Kept.LAST if bool(np.isnan(spread).all()) else Kept.MEAN
    try:
        return runs, Kept(word)
    except ValueError:
        raise StoreError(f"{fields.what} is damaged: nothing is kept of runs as “{word[:40]}”.") from None


def _encode_live(record: LiveRecord, prefix: str, columns: Columns) -> dict[str, Any]:
    for number, calls in enumerate(record.slow):
        for name, dtype in _SLOW_COLUMNS:
            columns[f"{prefix}.slow{number}.{name}"] = np.asarray(getattr(calls, name), dtype=dtype)
    lines: tuple[live_lines.Line, ...] = (*record.stages, *record.marks, *record.costs)
    return {
        "kind": "live",
        "epoch_s": record.epoch_s,
        "began_s": record.began_s,
        "ended_s": record.ended_s,
        "pid": record.pid,
        "launched": record.launched,
        "lines": [live_lines.write(line) for line in lines],
        "slow": [
            {
                "series": calls.series,
                "above": calls.threshold_ns,
                "start_s": calls.start_s,
                "length_s": calls.length_s,
                "lost": calls.lost,
            }
            for calls in record.slow
        ],
    }


def _decode_slow(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> SlowCalls:
    table = decode_table(fields, prefix, _SLOW_COLUMNS, columns)
    if not bool(np.all((table["start_ns"] >= 0) & (table["start_ns"] <= table["end_ns"]))):
        raise StoreError(f"{fields.what} is damaged: a call of {prefix} ends before it begins.")
    return SlowCalls(
        series=fields.text("series"),
        threshold_ns=fields.integer("above"),
        start_s=fields.number("start_s") or 0.0,
        length_s=fields.number("length_s") or 0.0,
        lost=fields.integer("lost", 0),
        **table,
    )


def _decode_live(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> LiveRecord:
    try:
        lines = [live_lines.read(part.document) for part in fields.parts("lines")]
    except ValueError as error:
        raise StoreError(f"{fields.what} is damaged: {error}.") from None
    return LiveRecord(
        epoch_s=fields.number("epoch_s") or 0.0,
        began_s=fields.number("began_s") or 0.0,
        ended_s=fields.number("ended_s") or 0.0,
        pid=fields.integer("pid", 0),
        launched=fields.flag("launched", False),
        stages=tuple(line for line in lines if isinstance(line, StageSlice)),
        marks=tuple(line for line in lines if isinstance(line, Mark)),
        costs=tuple(line for line in lines if isinstance(line, Cost)),
        slow=tuple(
            _decode_slow(part, f"{prefix}.slow{number}", columns) for number, part in enumerate(fields.parts("slow"))
        ),
    )
