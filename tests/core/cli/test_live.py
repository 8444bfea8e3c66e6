"""`live` and `attach`: what they refuse, and what they show while they look."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tailflame.cli.live_display import JsonDisplay, TextDisplay, unreliable
from tailflame.cli.main import main
from tailflame.cli.terminal import Terminal
from tailflame.errors import ToolDenied
from tailflame.model import Histogram
from tailflame.model.live import Cost, LatencySlice, Reading, StageSlice, Status, Update
from tailflame.run.live_events import (
    LiveContinued,
    LiveFinished,
    LiveStarted,
    SourceChanged,
    SourceState,
    SourceTold,
)
from tailflame.store import Library
from tailflame.store.manifest import SessionState


def slice_of(*values: int, start: float = 5.0) -> LatencySlice:
    histogram = Histogram.of(np.array(values, np.int64))
    return LatencySlice(series="match_order", start_s=start, length_s=0.2, histogram=histogram)


STAGES = StageSlice(
    series="total_us",
    stages=("validation_us", "risk_us"),
    start_s=5.0,
    length_s=0.2,
    events=10,
    sums_ns=(1000.0, 3000.0),
    tail_events=1,
    tail_sums_ns=(100.0, 900.0),
)
NOTHING = Reading(series="IPC", start_s=5.0, length_s=0.2, value=None, status=Status.NOT_SUPPORTED)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_streams_every_update_as_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    display = JsonDisplay()
    told: tuple[Update, ...] = (
        slice_of(*range(1, 161)),
        NOTHING,
        STAGES,
        Cost(series="match_order", floor_ns=1.0, per_call_ns=2.0, calls_per_s=3.0, share=float("nan"), lost=1),
    )
    display.take(LiveStarted(8812, (), launched=False))
    for update in told:
        display.take(SourceTold("x", update))
    display.take(SourceChanged("probe", "Probe", SourceState.FAILED, ToolDenied("No.", advice="Ask.")))
    display.finished(LiveFinished(None, 2.0), None)
    started, latency, reading, stages, cost, changed, end = lines(capsys)
    assert started == {"started": 8812, "launched": False}
    assert latency["count"] == 160
    # HdrHistogram's rule: the value that ceil(158.4) = 159 values do not exceed.
    assert latency["percentiles"]["p99"] == 159  # type: ignore[index]
    assert latency["unreliable"] == ["p99.9", "p99.99"]
    assert (reading["value"], reading["status"]) == (None, "not supported")
    assert stages["tail_mean_ns"] == {"validation_us": 100.0, "risk_us": 900.0}
    assert cost["share"] is None and cost["lost"] == 1
    assert changed["error"] == "No. Ask."
    assert end == {"finished": "detached; the program runs on", "seconds": 2.0, "session": None}


def test_an_interval_without_a_call_took_no_time_rather_than_none(capsys: pytest.CaptureFixture[str]) -> None:
    JsonDisplay().take(SourceTold("probe", slice_of()))
    (line,) = lines(capsys)
    assert (line["count"], line["max"]) == (0, None)
    assert set(line["percentiles"].values()) == {None}  # type: ignore[attr-defined]


def test_text_names_the_slow_stage_and_marks_what_is_hardly_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    display = TextDisplay(Terminal(), None, launched=False)
    clock = count(7.0)
    monkeypatch.setattr("tailflame.cli.live_display.time.monotonic", lambda: next(clock))
    display.take(LiveContinued(5.0))
    display.take(SourceTold("log", STAGES))
    display.take(SourceTold("counters", NOTHING))
    display.take(SourceTold("log", slice_of(*range(1000, 1200))))
    display.finished(LiveFinished(None, 2.0), None)
    shown = capsys.readouterr().out
    assert "slowest 1% of total_us, the last 10 s: risk_us takes 90% of their time" in shown
    assert "IPC not supported" in shown
    assert "p99 1.20 µs" in shown and "p99.9 ~1.20 µs" in shown


def test_a_percentile_needs_a_value_beyond_it() -> None:
    assert unreliable(Histogram.of(np.arange(9999))) == (99.99,)
    assert unreliable(Histogram.of(np.arange(10_000))) == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["live"], "Either a program to launch"),
        (["live", "--attach", "1", "--", "true"], "Either a program to launch"),
        (["live", "--interval", "0", "--", "true"], "--interval"),
        (["live", "--cost-limit", "lots", "--", "/bin/true"], "no share"),
        (["live", "--duration", "-1", "--", "/bin/true"], "--duration"),
        (["live", "--duration", "nan", "--", "/bin/true"], "--duration"),
        (["live", "--syscalls", "0", "--", "/bin/true"], "--syscalls"),
        (["live", "--field", "x=weeks", "--", "true"], "no unit of time"),
        (["attach", "no such process"], "No running process"),
        (["attach", "4194303"], "There is no process"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) in (2, 5)
    assert said in capsys.readouterr().err


def test_an_unknown_function_is_named_with_similar_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "stripped"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    assert main(["live", "-f", "match_order", "--", str(program)]) == 5
    error = capsys.readouterr().err
    assert "match_order" in error or "symbols" in error


@pytest.mark.parametrize("ended_by", ["reader", "hangup"])
def test_a_run_that_nobody_looks_at_any_more_ends_and_is_kept(tmp_path: Path, ended_by: str) -> None:
    profiles = tmp_path / "profiles"
    argv = ["live", "--json", "--no-counters", "--profiles", str(profiles), "--", "/bin/sleep", "600"]
    looking = subprocess.Popen(
        [sys.executable, "-m", "tailflame.cli.main", *argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )  # fmt: skip
    assert looking.stdout is not None and looking.stderr is not None
    with looking, looking.stdout as out:
        pid = json.loads(out.readline())["started"]
        while '"CPU"' not in out.readline():
            pass
        if ended_by == "reader":
            out.close()
        else:
            looking.send_signal(signal.SIGHUP)
            assert "stopped by you" in out.read()
        said = looking.stderr.read()
        assert looking.wait(60) == (141 if ended_by == "reader" else 0), said
    assert "ault" not in said and "rror" not in said
    assert not Path("/proc", str(pid)).exists()
    (session,) = Library(profiles).sessions()
    assert session.state is SessionState.COMPLETE
