"""`show`: the facts and the hotspots of any result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.recordings import as_results, recording
from helpers.stack_counts import DATA
from tailflame.model import Event, Histogram, HistogramSeries, StackBuilder, Thread
from tailflame.store import Library
from tailflame.store.bundle import write_bundle
from tailflame.units import Unit

Run = Callable[..., Any]


def test_a_file_is_shown_with_its_hotspots(tailflame: Run, before: Path) -> None:
    run = tailflame("show", before, "-n", "2")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == str(before)
    assert "Samples  11,500" in lines
    start = next(i for i, line in enumerate(lines) if line.split() == ["self", "total", "samples", "function"])
    assert lines[start + 1].split() == ["43.5%", "43.5%", "5,000", "match_order"]
    assert lines[start + 2].split() == ["21.7%", "21.7%", "2,500", "check_risk"]
    assert lines[start + 3] == ""
    assert any(line.startswith("Wide bars: match_order takes 43.5%") for line in lines)


def test_json_has_the_documented_keys(tailflame: Run, before: Path) -> None:
    document = tailflame("show", before, "--json", "-n", "3").document
    assert set(document) == {"result", "events", "view", "hotspots", "reading"}
    assert set(document["result"]) == {
        "label", "source", "session", "tool", "tool_version", "format", "command", "outcome", "started_at",
        "duration_s", "lost", "rate_asked_hz", "rate_granted_hz", "threads", "machine", "build_ids", "cautions",
    }  # fmt: skip
    assert document["events"] == [{"name": "samples", "unit": "samples", "samples": 11500, "period": None}]
    assert document["view"] == {
        "event": "samples", "weight": "samples", "by": "function", "unit": "samples", "total": 11500, "samples": 11500,
    }  # fmt: skip
    assert [row["name"] for row in document["hotspots"]] == ["match_order", "check_risk", "check_exposure"]
    first = document["hotspots"][0]
    assert (first["self"], first["total"], first["self_samples"]) == (5000, 5000, 5000)
    assert first["self_share"] == pytest.approx(5000 / 11500)
    assert (first["file"], first["line"]) == ("", None)


@pytest.mark.parametrize("name", ["matrix.out.gz", "recursive.out.gz", "trading.out.gz"])
def test_counts_that_were_shared_out_stay_whole(tailflame: Run, name: str) -> None:
    document = tailflame("show", DATA / "callgrind" / "3.19.0" / name, "--json", "-n", "200").document
    total = document["costs"]["events"][0]["total"]
    told = [*document["events"][0].values(), *document["view"].values()]
    assert [figure for figure in told if isinstance(figure, int | float)] == [total] * 4
    own = [row["self"] for row in document["hotspots"]]
    assert len(own) > 5
    assert all(isinstance(figure, int) for figure in own), "what a function spends by itself is counted"


def kept(library: Library, *, keep: Any = None) -> str:
    session = library.new_session(tool="perf", binary="/opt/book", args=("--fast",))
    session.complete(keep or recording(command=("/opt/book", "--fast")))
    return session.id


def test_a_session_is_shown_with_everything_known_of_its_run(tailflame: Run, library: Library) -> None:
    name = kept(library)
    for what in ("latest", name, name[:-1], library.root / name):
        out = tailflame("show", what).out
        assert out.splitlines()[0] == "book --fast"
        for text in ("/opt/book --fast", "12.2 s", "asked 997 Hz, granted 996.5 Hz", "1,200", "AMD EPYC", "6.1.0"):
            assert text in out.replace("\u202f", " "), text
        assert "! One line is odd.  Look at it." in out
    document = tailflame("show", "--json").document
    assert document["result"]["session"] == name
    assert document["result"]["build_ids"] == [{"module": "/opt/book", "build_id": "0123456789abcdef"}]
    assert {"text": "One line is odd.", "fix": "Look at it."} in document["result"]["cautions"]


@pytest.mark.parametrize(
    ("by", "first"),
    [("function", "match_order"), ("module", "book"), ("file", "src/book.rs"), ("thread", "main")],
)
def test_rows_may_be_modules_files_or_threads(tailflame: Run, library: Library, by: str, first: str) -> None:
    kept(library)
    document = tailflame("show", "latest", "--by", by, "--json").document
    assert first in document["hotspots"][0]["name"]
    assert document["view"]["by"] == by
    assert first.rsplit("/", 1)[-1] in tailflame("show", "latest", "--by", by).out


def test_places_are_shown_when_asked_for(tailflame: Run, library: Library) -> None:
    kept(library)
    assert "src/book.rs:42" in tailflame("show", "latest", "--places").out
    assert "src/book.rs:42" not in tailflame("show", "latest").out


def test_too_few_samples_are_said(tailflame: Run, tmp_path: Path) -> None:
    path = tmp_path / "thin.folded"
    path.write_text("a;b 12\n")
    assert "Too few samples" in tailflame("show", path).out


def two_events() -> Any:
    builder = StackBuilder(events=[Event("cycles:u", Unit.EVENTS, has_period=True), Event("cache-misses", Unit.EVENTS)])
    fast = builder.stack([builder.frame("main"), builder.frame("fast")])
    slow = builder.stack([builder.frame("main"), builder.frame("slow")])
    thread = builder.thread(Thread("book", 7, 7))
    builder.sample(fast, count=3, period=10, thread=thread)
    builder.sample(slow, count=1, period=90, thread=thread)
    builder.sample(slow, count=5, event=1, thread=thread)
    return as_results(builder.build())


@pytest.mark.parametrize(
    ("words", "first", "unit"),
    [
        ((), "fast", "samples"),
        (("--weight", "period"), "slow", "events"),
        (("--event", "cache-misses"), "slow", "samples"),
        (("--event", "2"), "slow", "samples"),
        (("--event", "cycles"), "fast", "samples"),
    ],
)
def test_the_event_and_the_weight_are_chosen(
    tailflame: Run, library: Library, words: tuple[str, ...], first: str, unit: str
) -> None:
    kept(library, keep=two_events())
    document = tailflame("show", "latest", "--json", *words).document
    assert document["hotspots"][0]["name"] == first
    assert document["view"]["unit"] == unit
    assert tailflame("show", "latest", *words).code == 0


def test_an_unknown_event_is_named_with_those_there_are(tailflame: Run, library: Library) -> None:
    kept(library, keep=two_events())
    run = tailflame("show", "latest", "--event", "branches")
    assert run.code == 2
    assert "It has: cycles:u, cache-misses." in run.err


def test_latencies_are_percentiles(tailflame: Run, library: Library) -> None:
    counts = np.zeros(1200, dtype=np.int64)
    counts[100], counts[1000] = 990, 10
    series = HistogramSeries(tags=("risk",), start_s=(0.0,), length_s=(1.0,), histograms=(Histogram(counts),))
    kept(library, keep=as_results(series))
    (row,) = tailflame("show", "latest", "--json").document["latencies"]
    assert row == {
        "tag": "risk", "unit": "ns", "count": 1000, "max": 1000,
        "percentiles": {"p50": 100, "p90": 100, "p95": 100, "p99": 100, "p99.9": 1000, "p99.99": 1000},
    }  # fmt: skip
    out = tailflame("show", "latest").out.replace("\u202f", " ")
    assert "p99.99" in out
    assert "1.00 µs" in out
    run = tailflame("diff", "latest", "latest")
    assert (run.code, "within noise" in run.out) == (0, True)


def test_a_tag_of_two_resolutions_has_one_row_at_the_coarser(tailflame: Run, library: Library) -> None:
    ones = np.ones(50, dtype=np.int64)
    parts = (Histogram(ones), Histogram(ones), Histogram(ones, digits=2))
    series = HistogramSeries(tags=("a",) * 3, start_s=(0.0,) * 3, length_s=(1.0,) * 3, histograms=parts)
    kept(library, keep=as_results(series))
    rows = tailflame("show", "latest", "--json").document["latencies"]
    assert [(row["tag"], row["count"]) for row in rows] == [("a", 150)]


def test_a_chosen_format_shows_its_own_error(tailflame: Run, before: Path) -> None:
    assert tailflame("show", before, "--format", "folded").code == 0
    assert tailflame("show", before, "--format", "pie").code == 2


def test_a_function_without_a_name_is_shown_as_one(tailflame: Run, tmp_path: Path) -> None:
    path = tmp_path / "nameless.folded"
    path.write_text(";;; 30\n;work 20\n")
    out = tailflame("show", path).out
    assert "60.0%  100.0%       30  (no name)" in out
    assert "it ends in (no name)." in out


def test_of_a_bundle_it_is_said_what_it_holds(tailflame: Run, tmp_path: Path) -> None:
    library = Library(tmp_path / "elsewhere")
    session = library.new_session(tool="perf", binary="/opt/engine")
    session.complete(recording("main;work 7"))
    path = tmp_path / "one session.tailflame"
    write_bundle(path, library, sessions=library.sessions())
    run = tailflame("show", path)
    assert run.code == 0 and "A bundle of 0 measurements and 1 session, " in run.out
    assert f"`tailflame bundle --open '{path}'` brings it into the profiles folder." in run.out
    held = tailflame("show", path, "--json").document["bundle"]
    assert held["sessions"] == [session.path.name] and held["measurements"] == [] and held["bytes"] > 0
    path.write_bytes(path.read_bytes()[:100])
    broken = tailflame("show", path)
    assert broken.code not in (0, 2) and "cannot be opened as a bundle" in broken.err and "Traceback" not in broken.err
