"""Exporters' text saved to a file opens as readings of one moment."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import Recording
from tailflame.parse import load
from tailflame.parse.prometheus_text import PROMETHEUS_TEXT

SAMPLES = DATA / "prometheus"
DEMO = SAMPLES / "metrics-exporter-0.18.3" / "demo.txt"


def readings(recording: Recording) -> dict[str, tuple[float | None, str]]:
    counters = recording.counters
    assert counters is not None
    told = {}
    for name in counters.names:
        column = counters.of(name)
        assert len(column.value) == 1
        told[name] = (float(column.value[0]) if column.counted[0] else None, counters.unit_of(name))
    return told


def test_the_demo_s_text() -> None:
    recording = load(DEMO)
    assert recording.format == "prometheus"
    told = readings(recording)
    assert told["trading_orders_total"] == (116851, "")
    assert told['trading_stage_seconds{stage="total"} p99'] == (pytest.approx(6291.569187964324), "ns")
    assert told['trading_stage_seconds{stage="total"} max'] == (pytest.approx(1572490), "ns")
    assert told['trading_stage_seconds{stage="total"} calls'] == (7430, "")
    assert told['trading_stage_seconds{stage="total"} mean'] == (pytest.approx(24272496 / 7430), "ns")
    # Every number of the file is there, or in a mean.
    assert len(told) == len(re.findall(r"^[a-z].* \S+$", DEMO.read_text(), re.MULTILINE))
    assert ["rolling" in c.text or "over a window" in c.text for c in recording.warnings] == [True]


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.txt")), ids=lambda path: path.name)
def test_under_the_name_unknown(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "unknown"
    shutil.copy(path, copy)
    assert readings(load(copy)) == readings(load(path))


def test_a_histogram_says_how_good_its_percentiles_are() -> None:
    recording = load(SAMPLES / "metrics-exporter-0.18.3" / "histogram-2.txt")
    told = readings(recording)
    assert told['order_seconds{side="buy"} p50 (interpolated)'] == (
        pytest.approx(1000 + 1500 * (2984 - 1782) / (3859 - 1782)),
        "ns",
    )
    assert any("interpolated" in caution.text for caution in recording.warnings)


def test_an_idle_summary_has_no_value(tmp_path: Path) -> None:
    path = tmp_path / "metrics.txt"
    path.write_text('# TYPE x_seconds summary\nx_seconds{quantile="0.5"} 0\nx_seconds_sum 1\nx_seconds_count 4\n')
    assert readings(load(path))["x_seconds p50"] == (None, "ns")


def test_a_file_that_is_cut_off_leaves_out_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.txt"
    path.write_text("# TYPE a gauge\na 12\n# TYPE b gauge\nb 12")
    recording = load(path)
    assert list(readings(recording)) == ["a"]
    assert recording.warnings[0].text == "The last line has no end and is left out."


def test_a_file_that_is_none_says_where(tmp_path: Path) -> None:
    path = tmp_path / "metrics.txt"
    path.write_text("# TYPE a gauge\na 12\nb twelve\n")
    with pytest.raises(ParseError, match=r"metrics\.txt, line 3: it holds no metric") as error:
        load(path)
    assert error.value.line == 3
    path.write_text("# TYPE a gauge\n")
    with pytest.raises(ParseError, match="it holds no metric"):
        load(path)


class TestSniff:
    @pytest.mark.parametrize(
        "text",
        ["# TYPE a counter\na 1\n", '# HELP a It\na{b="c"} 1\n', 'a{b="c",d="e"} 1.5e3\na{b="d"} +Inf 1395066\ncut{o'],
    )
    def test_exporters(self, text: str) -> None:
        assert PROMETHEUS_TEXT.sniff(text.encode(), "unknown") > 0.5

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "main 3\n",
            "main;work 3\n",
            "# comment\nmain 3\n",
            '{"a": 1}\n',
            'a{b="c"} 1\nmain;work 3\nx 1\n',
            "a{b} 1\n",
        ],
    )
    def test_what_is_not(self, text: str) -> None:
        assert PROMETHEUS_TEXT.sniff(text.encode(), "metrics.prom") < 0
