"""One way in: content decides, the next guess follows a failed one, a chosen format shows its own error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.errors import ParseError, UnknownFormat
from tailflame.model import Recording
from tailflame.parse import Format, Source, formats, load
from tailflame.parse.formats import FORMATS
from tailflame.parse.looks import report_of
from tailflame.parse.registry import NO

SAMPLES = {
    "flamegraph/stacks.folded": "folded",
    "flamegraph/stacks-differential.folded": "folded",
    "flamegraph/inferno/0.12.8/stacks.svg": "flamegraph-svg",
    "flamegraph/flamegraph.pl/2024-10/stacks.svg": "flamegraph-svg",
    "flamegraph/flamegraph.pl/2011-12/stacks.svg.gz": "flamegraph-svg",
    "hlog/trading-system/demo.hlog": "hlog",
    "pprof/go-1.26.8/cpu.pb.gz": "pprof",
    "pprof/go-1.26.8/heap.pb.gz": "pprof",
    "pprof/pprof-rs-0.15/pprof-rs.pb": "pprof",
    "speedscope/py-spy-0.4.3/pyspy.speedscope.json": "speedscope",
    "firefox/samply-0.13.1/trading.json.gz": "firefox",
    "firefox/profiler-70/trading.json.gz": "firefox",
    "firefox/profiler-70/gecko-13.json": "firefox",
    "callgrind/3.19.0/trading.out.gz": "callgrind",
    "callgrind/3.19.0/recursive.out.gz": "callgrind",
    "cpuprofile/node-20.20.2/fib.cpuprofile": "cpuprofile",
    "cpuprofile/node-20.20.2/fib.trace.json": "cpuprofile",
}


@dataclass(frozen=True)
class Guess:
    """A format that is sure of everything and reads nothing."""

    name: str
    score: float
    told: str = ""
    title: str = "guesses"

    def sniff(self, head: bytes, name: str) -> float:
        return self.score

    def load(self, source: Source) -> Recording:
        if self.told:
            raise ParseError(self.told)
        return Recording(tool="", format=self.name, source=source.name, results=())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("content")
    return path


def listed(monkeypatch: pytest.MonkeyPatch, *guesses: Format) -> None:
    monkeypatch.setattr(formats, "FORMATS", guesses)


@pytest.mark.parametrize(("sample", "name"), SAMPLES.items())
def test_real_files_are_known_by_content(sample: str, name: str, tmp_path: Path) -> None:
    recording = load(DATA / sample)
    assert recording.format == name
    nameless = tmp_path / "unknown"
    nameless.write_bytes((DATA / sample).read_bytes())
    again = load(nameless)
    assert (again.format, again.meta, again.warnings) == (name, recording.meta, recording.warnings)
    assert all(same(a, b) for a, b in zip(again.results, recording.results, strict=True))


@pytest.mark.parametrize(("sample", "name"), SAMPLES.items())
def test_no_format_is_surer_of_a_file_than_its_own(sample: str, name: str) -> None:
    source = Source(DATA / sample)
    scores = {known.name: known.sniff(source.head, "unknown") for known in FORMATS}
    assert max(scores, key=lambda key: scores[key]) == name
    assert [key for key, score in scores.items() if score >= 0] == [name]


def test_names_and_titles_are_distinct() -> None:
    assert len({known.name for known in FORMATS}) == len(FORMATS) == len({known.title for known in FORMATS})


def test_the_best_guess_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, Guess("low", 0.2), Guess("high", 0.8), Guess("never", NO))
    assert load(file).format == "high"


def test_where_the_best_guess_fails_the_next_is_tried(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, Guess("low", 0.2), Guess("high", 0.8, "High fails."))
    assert load(file).format == "low"


def test_where_all_fail_the_best_guess_speaks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, Guess("low", 0.2, "Low fails."), Guess("high", 0.8, "High fails."))
    with pytest.raises(ParseError, match=r"High fails\."):
        load(file)


def test_a_chosen_format_shows_its_own_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, Guess("low", NO, "Low fails."), Guess("high", 0.8))
    with pytest.raises(ParseError, match=r"Low fails\."):
        load(file, format="low")


def test_a_format_that_is_not_there(file: Path) -> None:
    with pytest.raises(UnknownFormat, match="no format called “nonsense”") as told:
        load(file, format="nonsense")
    assert "folded" in told.value.advice


@pytest.mark.parametrize(
    ("pattern", "tool"),
    [
        ("massif/*/*.ms_print*", "ms_print"),
        ("heaptrack/*/*.print.txt*", "heaptrack_print"),
        ("cachegrind/*/*.annotate.txt*", "cg_annotate"),
        ("callgrind/*/*.annotate.txt*", "callgrind_annotate"),
        ("jemalloc/**/*.heap.jeprof", "jeprof"),
    ],
)
def test_a_report_is_refused_and_what_it_was_made_from_named(pattern: str, tool: str) -> None:
    """jeprof's columns were taken for samples of perf."""
    reports = sorted(DATA.glob(pattern))
    assert reports
    for path in reports:
        with pytest.raises(UnknownFormat, match=f"a report of {tool}") as caught:
            load(path)
        assert caught.value.advice.startswith("Open what it was made from: ")


def test_no_result_is_taken_for_a_report() -> None:
    for name in SAMPLES:
        assert report_of(Source(DATA / name).head) is None, name
