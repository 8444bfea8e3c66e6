"""The JSON that commands print. Keys are stable; new ones may be added."""

from __future__ import annotations

import math
from typing import Any

from tailflame.analyse.hotspots import HotspotTable
from tailflame.cli.figures import counter_figures
from tailflame.model import Caution, CounterSeries, Event, HistogramSeries, Recording, StackProfile, Weight
from tailflame.model.counter_ratios import whole_run
from tailflame.model.counters import STATUSES
from tailflame.model.histogram import PERCENTILES
from tailflame.store import Opened, SessionInfo

_LAST_DIGITS = 1e-12
"""The share of a sum that the last digits of its parts may make."""


def session_document(info: SessionInfo) -> dict[str, Any]:
    """One session as `list` prints it."""
    manifest, commit = info.manifest, info.commit
    return {
        "id": info.id,
        "path": str(info.path),
        "state": info.state.value,
        "baseline": info.baseline,
        "title": info.title,
        "tool": info.tool,
        "binary": info.binary,
        "args": list(manifest.args) if manifest else [],
        "started_at": info.started_at.isoformat() if info.started_at else None,
        "duration_s": manifest.duration_s if manifest else None,
        "samples": info.samples,
        "lost": manifest.lost if manifest else None,
        "events": list(manifest.events) if manifest else [],
        "outcome": manifest.outcome if manifest else "",
        "exit_code": manifest.exit_code if manifest else None,
        "build_id": manifest.build_id if manifest else "",
        "cargo_profile": manifest.cargo_profile if manifest else "",
        "git": {"commit": commit.commit, "branch": commit.branch, "dirty": commit.dirty} if commit else None,
        "note": manifest.note if manifest else "",
        "problem": info.problem,
        "group": manifest.group if manifest else "",
        "measures": info.measures.value,
    }


def result_document(opened: Opened, cautions: tuple[Caution, ...]) -> dict[str, Any]:
    """What is known of a run: "result" of show."""
    recording = opened.recording
    meta = recording.meta
    machine = meta.machine
    return {
        "label": opened.label,
        "source": recording.source,
        "session": opened.session.id if opened.session else None,
        "tool": recording.tool,
        "tool_version": meta.tool_version,
        "format": recording.format,
        "command": list(meta.command),
        "outcome": meta.outcome,
        "started_at": meta.started_at.isoformat() if meta.started_at else None,
        "duration_s": meta.duration_s,
        "lost": meta.lost,
        "rate_asked_hz": meta.rate_asked_hz,
        "rate_granted_hz": meta.rate_granted_hz,
        "threads": thread_count(recording),
        "machine": {
            "hostname": machine.hostname,
            "kernel": machine.kernel,
            "arch": machine.arch,
            "cpu": machine.cpu,
            "cpus": machine.cpus,
        },
        "build_ids": [{"module": module, "build_id": build_id} for module, build_id in meta.build_ids],
        "cautions": [{"text": c.text, "fix": c.fix} for c in cautions],
    }


def thread_count(recording: Recording) -> int | None:
    """None where the file does not tell threads apart."""
    profile = recording.profile
    return len(profile.threads) or None if profile is not None else None


def events_document(profile: StackProfile) -> list[dict[str, Any]]:
    return [
        {
            "name": event.name,
            "unit": event.unit.value,
            "samples": figure(profile.total(event=index), event),
            "period": figure(profile.total(event=index, weight=Weight.PERIOD), event) if event.has_period else None,
        }
        for index, event in enumerate(profile.events)
    ]


def figure(value: float, event: Event) -> float:
    """What was counted is whole: sums of the parts that it was shared out into may miss that by their last digits."""
    whole = round(value) if event.exact and math.isfinite(value) else value
    return whole if abs(value - whole) <= _LAST_DIGITS * abs(value) else value


def hotspots_document(table: HotspotTable, rows: list[int]) -> list[dict[str, Any]]:
    """Rows of a hotspot table; shares are of the whole view, 0 to 1."""
    whole = table.total or 1.0
    return [
        {
            "name": table.key[row],
            "module": table.module[row],
            "file": table.file[row],
            "line": int(table.line[row]) if table.line[row] > 0 else None,
            "self": figure(float(table.self_weight[row]), table.event),
            "total": figure(float(table.total_weight[row]), table.event),
            "self_samples": figure(float(table.self_samples[row]), table.event),
            "total_samples": figure(float(table.total_samples[row]), table.event),
            "self_share": float(table.self_weight[row] / whole),
            "total_share": float(table.total_weight[row] / whole),
        }
        for row in rows
    ]


def latencies_document(series: HistogramSeries) -> list[dict[str, Any]]:
    """Percentiles of each tag over the whole log, in `unit`."""
    rows = []
    for tag in series.distinct_tags():
        whole = series.whole(tag)
        values = whole.percentiles()
        rows.append(
            {
                "tag": tag,
                "unit": series.unit,
                "count": whole.total,
                "percentiles": {f"p{p:g}": value for p, value in zip(PERCENTILES, values, strict=True)},
                "max": whole.maximum,
            }
        )
    return rows


def counters_document(series: CounterSeries) -> list[dict[str, Any]]:
    """Each series over its intervals, in `unit`; figures are null where no interval has a value."""
    rows = []
    for name, unit, simulated in zip(series.names, series.units, series.simulated, strict=True):
        column = series.of(name)
        last, low, middle, high = counter_figures(column) or (None, None, None, None)
        counted = column.counted
        rows.append(
            {
                "series": name,
                "unit": unit,
                "simulated": simulated,
                "readings": len(counted),
                "statuses": {s.value: int((column.status == code).sum()) for code, s in enumerate(STATUSES)},
                "last": last,
                "min": low,
                "p50": middle,
                "max": high,
                "whole_run": whole_run(series, name),
                "running_min": float(column.running[counted].min()) if counted.any() else None,
            }
        )
    return rows
