"""A measurement for machines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

from tailflame.report.measurement import MeasurementReport, Side
from tailflame.report.output import opened

VERSION = 1


def write(report: MeasurementReport, target: Path | TextIO) -> None:
    """StoreError where it cannot be written."""
    with opened(target) as stream:
        json.dump(document(report), stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def document(report: MeasurementReport) -> dict[str, Any]:
    verdict = report.verdict
    return {
        "format": "tailflame report",
        "version": VERSION,
        "title": report.title,
        "before": _side(report.before) if report.before is not None else None,
        "after": _side(report.after),
        "decision": verdict.decision.value if verdict is not None else None,
        "sentence": verdict.sentence if verdict is not None else None,
        "reasons": list(verdict.reasons) if verdict is not None else [],
        "goal": verdict.goal.key if verdict is not None and verdict.goal is not None else None,
        "more_repetitions": verdict.more_repetitions if verdict is not None else None,
        "broken_bounds": list(report.broken),
        "notes": list(report.notes),
        "rows": [
            {
                "family": row.family.value,
                "key": row.key,
                "unit": row.unit,
                "before": list(row.before),
                "after": list(row.after),
                "change": _known(row.change),
                "low": _known(row.low),
                "high": _known(row.high),
                "p": _known(row.p),
                "mark": row.mark.value,
                "trimmed": row.trimmed,
            }
            for row in (verdict.rows if verdict is not None else ())
        ],
    }


def _side(side: Side) -> dict[str, Any]:
    one = side.iteration
    return {
        "id": one.id,
        "number": one.number,
        "project": one.project,
        "commit": one.commit,
        "dirty": one.dirty,
        "note": one.note,
        "started_at": one.started_at.isoformat(),
        "environment": dict(one.environment),
        "steps": [
            {"name": s.name, "repetition": s.repetition, "tool": s.tool, "state": s.state.value, "problem": s.problem}
            for s in one.steps
        ],
        "commands": [{"step": step, "command": command} for step, command in side.commands],
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
