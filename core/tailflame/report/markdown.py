"""A measurement for a pull request: Markdown as GitHub reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from tailflame.analyse.verdict import Decision
from tailflame.report.measurement import HEADINGS, MeasurementReport, Outcome, cells, footnotes, shown
from tailflame.report.output import opened

_SIGNS = {
    Decision.KEEP: "✅",
    Decision.REVERT: "❌",
    Decision.NOTHING: "➖",
    Decision.UNDECIDED: "❔",
    Decision.TOLERATED: "➖",
}
_ENDS = {Outcome.PASSED: "✅", Outcome.FAILED: "❌", Outcome.UNKNOWN: "❔"}
_QUIET = 3


def write(report: MeasurementReport, target: Path | TextIO) -> None:
    """StoreError where it cannot be written."""
    with opened(target) as stream:
        stream.write("\n".join(_lines(report)) + "\n")


def _lines(report: MeasurementReport) -> list[str]:
    lines = [f"## {_plain(report.title)}", ""]
    if report.gate is not None:  # its sign is the one to see: the check beside it has the same
        lines += [f"{_ENDS[report.gate.outcome]} **{_plain(report.gate.sentence)}**", ""]
    if report.verdict is not None and report.gate is not None:
        lines += [_plain(report.verdict.sentence), ""]
    elif report.verdict is not None:
        lines += [f"{_SIGNS[report.verdict.decision]} **{_plain(report.verdict.sentence)}**", ""]
    if report.verdict is not None:
        lines += [f"- {_plain(reason)}" for reason in report.verdict.reasons]
    lines += [f"- ❌ {_plain(sentence)}" for sentence in report.broken]
    lines += [f"- ⚠️ {_plain(note)}" for note in report.notes]
    for step in report.failed_steps:
        lines.append(f"- ⚠️ {_plain(step.title)} failed: {_plain(step.problem)}")
    for family, rows in report.families:
        some, left = shown(rows, quiet=_QUIET)
        lines += ["", f"### {family.value}", "", "| " + " | ".join(HEADINGS) + " |", "|---|--:|--:|--:|--:|---|"]
        lines += ["| " + " | ".join(_cell(text) for text in cells(row)) + " |" for row in some]
        for note in footnotes(family, some):
            lines += ["", _plain(note)]
        if left:
            lines += ["", f"and {left:,} more within the noise"]
    lines += ["", "<details><summary>How it was measured</summary>", ""]
    for word, side in (("before", report.before), ("after", report.after)):
        if side is not None:
            lines += [f"**{word}: {_plain(side.name)}**", ""]
            lines += [f"- {name}: {_plain(value)}" for name, value in sorted(side.iteration.environment.items())]
            lines += [f"- {_plain(step)}: `{command.replace('`', ' ')}`" for step, command in side.commands]
            lines.append("")
    lines.append("</details>")
    return lines


def _plain(text: str) -> str:
    """Text that Markdown takes for text: a function's name may hold any sign."""
    text = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|~!" else sign for sign in text)


def _cell(text: str) -> str:
    return _plain(text) or " "
