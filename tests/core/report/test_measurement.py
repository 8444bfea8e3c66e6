"""A measurement as HTML, Markdown, JSON and JUnit XML: what it says, and what a hostile name cannot do to it."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from helpers.recordings import as_results
from helpers.stacks import profile
from tailflame.analyse.bounds import broken
from tailflame.analyse.verdict import judge
from tailflame.errors import StoreError
from tailflame.model import HistogramSeries
from tailflame.model.histogram import HistogramRecorder
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.model.metrics import Better, Family, Metric
from tailflame.parse import load
from tailflame.report import html, junit, markdown, measurement_json
from tailflame.report.measurement import MeasurementReport, Side, differences
from tailflame.run.plan_file import Bound

HOSTILE = "</script><img src=x onerror=alert(1)>|`*_[a](javascript:b)\x00\ud800"


def metric(key: str, *values: float, family: Family = Family.LATENCY, unit: str = "ns") -> Metric:
    return Metric(family=family, key=key, unit=unit, better=Better.LESS, values=values)


def latencies(scale: int) -> HistogramSeries:
    recorder = HistogramRecorder()
    recorder.record(np.arange(1, 5001, dtype=np.int64) * scale)
    return HistogramSeries(tags=("total_us",), start_s=(0.0,), length_s=(1.0,), histograms=(recorder.take(),))


def iteration(number: int, **environment: str) -> Iteration:
    return Iteration(
        id=f"2026-{number}", number=number, project="/src/engine", binary="/src/engine/run", commit="9f3c2e1aa0",
        started_at=datetime(2026, 3, 4, 12, 4, tzinfo=UTC), environment={"cpu": "EPYC", **environment},
        steps=(Step(name="heap", repetition=1, state=StepState.FAILED, problem="heaptrack is not installed."),),
        note=HOSTILE,
    )  # fmt: skip


@pytest.fixture
def report() -> MeasurementReport:
    before = [metric("p99 total_us", 100.0, 101.0, 99.0), metric(HOSTILE, 5.0, 5.1, 5.2), metric("p50", 7.0, 7.1, 7.2)]
    after = [metric("p99 total_us", 140.0, 141.0, 139.0), metric(HOSTILE, 9.0, 9.1, 9.2), metric("p50", 7.1, 7.0, 7.2)]
    name = HOSTILE[:40].replace(" ", "_")
    stacks = as_results(profile(f"main;work 3\nmain;{name} 2"), latencies(3))
    return MeasurementReport(
        title=f"engine {HOSTILE}",
        before=Side(iteration(1, rustc="1.94"), (stacks,), (("cpu 1", "perf record -- ./run '<x>'"),)),
        after=Side(iteration(2, rustc="1.95"), (stacks,), (("cpu 1", "perf record -- ./run"),)),
        verdict=judge(before, after, goal="p99 total_us"),
        broken=("p99 total_us is 141 ns, above 120 ns.",),
        notes=differences(Side(iteration(1, rustc="1.94")), Side(iteration(2, rustc="1.95"))),
    )


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_html_file_says_everything_and_fetches_nothing(report: MeasurementReport) -> None:
    stream = io.StringIO()
    html.write(report, stream)
    page = _Page()
    page.feed(stream.getvalue())
    for words in (
        "Revert: p99 total_us got worse by 40%", "p99 total_us 100 ns to 140 ns", "above 120 ns", "rustc",
        "heaptrack is not installed", "perf record -- ./run", "Not the same rustc", "p99.9",
    ):  # fmt: skip
        assert words in page.text, words
    for tag, attributes in page.tags:
        assert tag not in ("img", "link", "script", "object", "embed"), tag
        assert not any(name.startswith("on") or name in ("src", "href", "data") for name in attributes), (
            tag,
            attributes,
        )
    frames = [attributes for tag, attributes in page.tags if tag == "iframe"]
    assert len(frames) == 2 and all(frame["sandbox"] == "allow-scripts" for frame in frames)
    assert "default-src 'none'" in str(next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a))
    inside = str(frames[0]["srcdoc"])
    assert 'total_samples="' in inside and "onerror=alert(1)>" not in inside.replace("&gt;", "")


def test_the_markdown_is_for_a_pull_request(report: MeasurementReport) -> None:
    stream = io.StringIO()
    markdown.write(report, stream)
    text = stream.getvalue()
    assert "❌ **Revert: p99 total\\_us got worse by 40%" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows and all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows), "no name breaks a table"
    assert "](javascript" not in text.replace("\\]", "").replace("\\[", "")


def test_the_json_has_every_row(report: MeasurementReport) -> None:
    stream = io.StringIO()
    measurement_json.write(report, stream)
    document = json.loads(stream.getvalue().encode("utf-8", "surrogatepass"))
    assert document["decision"] == "revert" and document["goal"] == "p99 total_us"
    assert {row["key"]: row["mark"] for row in document["rows"]}["p99 total_us"] == "worse"
    assert document["after"]["environment"]["rustc"] == "1.95"


def test_the_junit_xml_fails_what_got_worse(report: MeasurementReport) -> None:
    stream = io.BytesIO()
    junit.write(report, stream)
    root = ET.fromstring(stream.getvalue())
    failures = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert "p99 total_us" in failures and "p99 total_us is 141 ns, above 120 ns." in failures and "p50" not in failures
    suites = {suite.get("name"): suite for suite in root}
    assert suites["Latency"].get("failures") == "2" and suites["Latency"].get("tests") == "3"
    assert suites["Steps"].get("errors") == "1"


def test_rows_without_their_extremes_are_marked_in_every_form() -> None:
    before = [metric("p50", 982.0, 982.0, 1203.0, 982.0, 981.0)]
    after = [metric("p50", 1072.0, 1072.0, 1073.0, 1072.0, 1072.0)]
    side = Side(iteration(1), ())
    told = MeasurementReport(title="engine", before=side, after=side, verdict=judge(before, after, goal="p50"))
    for form in (html, markdown):
        stream = io.StringIO()
        form.write(told, stream)
        text = stream.getvalue().replace("\\", "")
        assert "worse *" in text and "without the lowest and the highest fifth" in text
        assert "982 ns" in text, "the mean of those that are left"
    stream = io.StringIO()
    measurement_json.write(told, stream)
    assert [row["trimmed"] for row in json.loads(stream.getvalue())["rows"]] == [True]


def test_caches_that_are_not_the_same_are_told(tmp_path: Path) -> None:
    def side(size: int) -> Side:
        note = f"LL cache:         {size} B, 64 B, 16-way associative"
        path = tmp_path / f"{size}.out"
        path.write_text(f"desc: {note}\ncmd: x\nevents: Ir\nfl=a.rs\nfn=f\n1 5\nsummary: 5\n")
        return Side(iteration(1), (load(path),))

    assert differences(side(1 << 25), side(1 << 25)) == ()
    (told,) = differences(side(1 << 28), side(1 << 25))
    assert told.startswith("Not the same LL cache: “268435456 B") and "“33554432 B" in told
    assert differences(Side(iteration(1)), side(1 << 25)) == (), "one side was not simulated at all"


def test_one_measurement_alone_has_no_verdict(report: MeasurementReport) -> None:
    alone = MeasurementReport(title="engine", after=report.after)
    for write in (html.write, markdown.write, measurement_json.write):
        stream = io.StringIO()
        write(alone, stream)
        assert stream.getvalue()
    assert measurement_json.document(alone)["decision"] is None


def test_what_cannot_be_written_is_told(report: MeasurementReport, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        html.write(report, tmp_path / "nowhere" / "x.html")


def test_bounds_hold_in_every_repetition() -> None:
    metrics = [
        metric("p99 total_us", 90.0, 130.0), metric("IPC", 1.4, 1.9, family=Family.COUNTERS, unit=""),
        metric("p99 bench", 1.0, family=Family.BENCHMARKS),
    ]  # fmt: skip
    assert broken([Bound(key="p99 total_us", high=131.0)], metrics) == ()
    assert broken([Bound(key="p99 total_us", high=120.0)], metrics) == ("p99 total_us is 130 ns, above 120 ns.",)
    assert broken([Bound(key="IPC", low=1.5)], metrics) == ("IPC is 1.40, below 1.50.",)
    assert "was not measured" in broken([Bound(key="p99 nothing", high=1.0)], metrics)[0]
    assert "are means" in broken([Bound(key="p99 bench", high=1.0)], metrics)[0]


def test_a_name_that_is_no_text_is_written_all_the_same(report: MeasurementReport, tmp_path: Path) -> None:
    for write, name in ((html.write, "x.html"), (markdown.write, "x.md"), (measurement_json.write, "x.json")):
        write(report, tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8")
