"""A measurement as one HTML file: it needs no network, opens anywhere, and prints well.

The flame graphs are the SVG files that a session has, each in a frame of its own without any right but its script's, so
that their zoom and search work and nothing of one reaches the page or another.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TextIO

from tailflame.analyse.counted import tells_amounts
from tailflame.analyse.verdict import Decision, Mark, Row
from tailflame.model import HistogramSeries, Recording
from tailflame.report import svg
from tailflame.report.measurement import HEADINGS, MeasurementReport, Side, cells, footnotes, shown
from tailflame.report.output import opened
from tailflame.units import count, nanoseconds

_QUIET = 8
_LEAST_SHARE = 0.002
"""Frames below this share of a flame graph are left out, which keeps the file small."""

_NINES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
_SIGNS = {Decision.KEEP: "✔", Decision.REVERT: "✖", Decision.NOTHING: "≈", Decision.UNDECIDED: "?",
          Decision.TOLERATED: "≈"}  # fmt: skip
_MARKS = {
    Mark.BETTER: "▼",
    Mark.WORSE: "▲",
    Mark.MORE: "△",
    Mark.LESS: "▽",
    Mark.NOISE: "≈",
    Mark.TOLERATED: "△",
    Mark.SAME: "=",
    Mark.UNKNOWN: "?",
}


def write(report: MeasurementReport, target: Path | TextIO) -> None:
    """StoreError where it cannot be written."""
    with opened(target) as stream:
        stream.write('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n')
        stream.write('<meta name="viewport" content="width=device-width">\n')
        # Nothing is fetched, whatever a name in it says.
        stream.write(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';"
            " script-src 'unsafe-inline'; frame-src 'self' data:; img-src data:\">\n"
        )
        stream.write(f"<title>{escape(report.title)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n<main>\n")
        _head(report, stream)
        _tables(report, stream)
        _percentiles(report, stream)
        _flame_graphs(report, stream)
        _how(report, stream)
        stream.write("</main>\n</body>\n</html>\n")


def _style() -> str:
    return files("tailflame.report").joinpath("measurement.css").read_text(encoding="utf-8")


def _head(report: MeasurementReport, stream: TextIO) -> None:
    iteration = report.after.iteration
    facts = [f"{iteration.started_at:%Y-%m-%d %H:%M}", report.after.name, iteration.note]
    stream.write(f"<h1>{escape(report.title)}</h1>\n")
    stream.write(f'<div class="second">{escape("  ·  ".join(fact for fact in facts if fact))}</div>\n')
    verdict = report.verdict
    if verdict is not None:
        kind = {Decision.KEEP: "keep", Decision.REVERT: "revert"}.get(verdict.decision, "")
        stream.write(f'<div class="verdict {kind}">{_SIGNS[verdict.decision]} {escape(verdict.sentence)}</div>\n')
    lines = [*(verdict.reasons if verdict is not None else ()), *report.broken, *report.notes]
    lines += [f"{step.title} failed: {step.problem}" for step in report.failed_steps]
    if lines:
        stream.write("<ul>\n" + "".join(f"<li>{escape(line)}</li>\n" for line in lines) + "</ul>\n")


def _tables(report: MeasurementReport, stream: TextIO) -> None:
    for family, rows in report.families:
        some, left = shown(rows, quiet=_QUIET)
        stream.write(f"<h2>{escape(family.value)}</h2>\n<table>\n<tr>")
        stream.write("".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS) + "</tr>\n")
        for row in some:
            stream.write(f'<tr class="{_class(row)}">')
            texts = cells(row)
            stream.write("".join(f"<td>{escape(text)}</td>" for text in texts[:-1]))
            stream.write(f"<td>{_MARKS.get(row.mark, '')} {escape(texts[-1])}</td></tr>\n")
        stream.write("</table>\n")
        for note in footnotes(family, some):
            stream.write(f'<div class="second">{escape(note)}</div>\n')
        if left:
            stream.write(f'<div class="second">and {count(left)} more within the noise</div>\n')


def _class(row: Row) -> str:
    if row.mark is Mark.BETTER:
        return "better"
    return "worse" if row.mark is Mark.WORSE else "quiet"


# Percentiles: latency up, nines to the right, each repetition a line


def _percentiles(report: MeasurementReport, stream: TextIO) -> None:
    sides = [("before", report.before), ("after", report.after)]
    held = {word: _series(side) for word, side in sides if side is not None}
    tags = dict.fromkeys(tag for by_tag in held.values() for tag in by_tag)
    if not tags:
        return
    stream.write("<h2>Percentiles</h2>\n")
    for tag in tags:
        lines = [(word, series) for word, by_tag in held.items() for series in by_tag.get(tag, ())]
        stream.write(_plot(tag, lines))


def _series(side: Side) -> dict[str, list[list[tuple[float, float]]]]:
    """Of each latency the points (share, ns) of each repetition."""
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for recording in side.recordings:
        for result in recording.results:
            if isinstance(result, HistogramSeries):
                series = result.in_nanoseconds() or result
                for tag in series.distinct_tags():
                    found.setdefault(tag, []).append(_points(series, tag))
    return found


def _points(series: HistogramSeries, tag: str) -> list[tuple[float, float]]:
    histogram = series.whole(tag)
    most = 1 - 1 / max(histogram.total, 2)
    shares = [share for share in (1 - 10 ** (-step / 8) for step in range(41)) if share <= most]
    values = histogram.percentiles(tuple(100 * share for share in shares))
    return list(zip(shares, map(float, values), strict=True))


_WIDE, _HIGH, _LEFT, _LOW = 1160, 260, 80, 30


def _plot(tag: str, lines: Sequence[tuple[str, list[tuple[float, float]]]]) -> str:
    most = max((value for _word, points in lines for _share, value in points), default=1.0) or 1.0
    right = max((share for _word, points in lines for share, _value in points), default=0.99)
    span = max(-math.log10(1 - right), 1.0)

    def x(share: float) -> float:
        return _LEFT + (_WIDE - _LEFT - 20) * (-math.log10(1 - share) if share else 0.0) / span

    def y(value: float) -> float:
        return _HIGH - _LOW - (_HIGH - _LOW - 30) * value / most

    parts = [f'<svg class="plot" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(tag, quote=True)}">']
    parts.append(f'<text x="{_LEFT}" y="16">{escape(tag or "latency")}: solid after, dashed before</text>')
    for share in _NINES:
        if share <= right:
            at, word = x(share), f"p{100 * share:g}"
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="24" y2="{_HIGH - _LOW}"/>')
            parts.append(f'<text x="{at:.1f}" y="{_HIGH - 10}" text-anchor="middle">{word}</text>')
    for part in (0.0, 0.5, 1.0):
        at = y(most * part)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDE - 20}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{nanoseconds(most * part)}</text>')
    for word, points in lines:
        path = " L".join(f"{x(share):.1f},{y(value):.1f}" for share, value in points)
        parts.append(f'<path class="{word}" d="M{path}"/>')
    return "".join(parts) + "</svg>\n"


def _flame_graphs(report: MeasurementReport, stream: TextIO) -> None:
    """The first CPU profile of each side."""
    for word, side in (("before", report.before), ("after", report.after)):
        recording = _first_profile(side.recordings) if side is not None else None
        if recording is None or recording.profile is None:
            continue
        drawn = io.StringIO()
        svg.write(recording.profile, drawn, title=f"CPU time, {word}", least_share=_LEAST_SHARE)
        text = drawn.getvalue()
        text = text[text.index("<svg") :]
        height = int(text.partition('height="')[2].partition('"')[0]) + 24
        page = f"<!DOCTYPE html><body style='margin:0'>{text}"
        stream.write(f"<h2>CPU time, {word}</h2>\n")
        stream.write(
            f'<iframe sandbox="allow-scripts" title="Flame graph, {word}" style="height:{height}px"'
            f' srcdoc="{escape(page, quote=True)}"></iframe>\n'
        )


def _first_profile(recordings: Sequence[Recording]) -> Recording | None:
    return next(
        (
            r
            for r in recordings
            if r.profile is not None and r.profile.events and not tells_amounts(r.profile.events[0])
        ),
        None,
    )


def _how(report: MeasurementReport, stream: TextIO) -> None:
    stream.write("<h2>How it was measured</h2>\n")
    for word, side in (("Before", report.before), ("After", report.after)):
        if side is None:
            continue
        stream.write(f"<h3>{word}: {escape(side.name)}</h3>\n<table>\n")
        for name, value in sorted(side.iteration.environment.items()):
            stream.write(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n")
        stream.write("</table>\n<details open><summary>Commands</summary>\n<pre>")
        stream.write(escape("\n".join(f"{step}: {command}" for step, command in side.commands)))
        stream.write("</pre></details>\n")
