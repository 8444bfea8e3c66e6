"""A measurement as JUnit XML, which every CI server shows: one test case a figure, a failure for what got worse."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import BinaryIO

from tailflame.analyse.verdict import Mark
from tailflame.report.measurement import MeasurementReport
from tailflame.report.output import opened_bytes

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write(report: MeasurementReport, target: Path | BinaryIO) -> None:
    """StoreError where it cannot be written."""
    root = ET.Element("testsuites", name=_text(report.title))
    for family, rows in report.families:
        suite = ET.SubElement(root, "testsuite", name=family.value, tests=str(len(rows)))
        failures = 0
        for row in rows:
            case = ET.SubElement(suite, "testcase", classname=family.value, name=_text(row.key))
            if row.mark is Mark.WORSE:
                failures += 1
                ET.SubElement(case, "failure", message=_text(row.sentence), type="regression").text = _text(
                    row.sentence
                )
            elif row.mark is Mark.UNKNOWN:
                ET.SubElement(case, "skipped", message="One run each: nothing can be said of how much runs differ.")
        suite.set("failures", str(failures))
    suite = ET.SubElement(
        root, "testsuite", name="Bounds", tests=str(len(report.broken)), failures=str(len(report.broken))
    )
    for sentence in report.broken:
        case = ET.SubElement(suite, "testcase", classname="Bounds", name=_text(sentence))
        ET.SubElement(case, "failure", message=_text(sentence), type="bound").text = _text(sentence)
    steps = report.failed_steps
    suite = ET.SubElement(root, "testsuite", name="Steps", tests=str(len(steps)), errors=str(len(steps)))
    for step in steps:
        case = ET.SubElement(suite, "testcase", classname="Steps", name=_text(step.title))
        ET.SubElement(case, "error", message=_text(step.problem), type="step").text = _text(step.problem)
    with opened_bytes(target) as stream:
        ET.indent(root)
        stream.write(ET.tostring(root, encoding="utf-8", xml_declaration=True))
        stream.write(b"\n")


def _text(text: str) -> str:
    """What XML has no way to write is replaced."""
    return _UNWRITABLE.sub("�", text)
