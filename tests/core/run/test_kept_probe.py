"""A run with probes on functions is kept like any other; here without bpftrace: a source tells what it is given."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tailflame.analyse.metrics import metrics_of
from tailflame.errors import TargetError, ToolDenied
from tailflame.host.functions import Function
from tailflame.host.probe_safety import Verdict
from tailflame.model import Histogram, HistogramSeries, Recording
from tailflame.model.live import Armed, Cost, LatencySlice, Update
from tailflame.run import kept_probe
from tailflame.run.events import Progress
from tailflame.run.journal import Journal
from tailflame.run.kept_probe import KeptProbe, probe_cautions
from tailflame.run.kept_run import Kept
from tailflame.run.live_events import SourceWish
from tailflame.store import Library
from tailflame.tools import Target

BOOK = "book::match_order"


class Telling:
    """Tells what it is given, and ends; or fails."""

    name = "probe"
    title = "Function probe"

    def __init__(self, updates: Sequence[Update | TargetError | ToolDenied]) -> None:
        self._updates = updates

    async def updates(self) -> AsyncGenerator[Update, None]:
        yield Armed()
        for update in self._updates:
            if isinstance(update, TargetError | ToolDenied):
                raise update
            yield update


def calls(start: float, count: int, ns: int = 2000, series: str = BOOK) -> LatencySlice:
    histogram = Histogram.of(np.full(count, ns, np.int64))
    return LatencySlice(series=series, start_s=start, length_s=0.2, histogram=histogram)


def cost(share: float, *, per_call_ns: float = 2000.0, lost: int = 0) -> Cost:
    return Cost(series=BOOK, floor_ns=900, per_call_ns=per_call_ns, calls_per_s=8000, share=share, lost=lost)


@pytest.fixture
def probing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(kept_probe, "functions_called", lambda _image, _names: ())
    monkeypatch.setattr(kept_probe, "judged", lambda *_a, **_k: Verdict(probed=(), cautions=("It is dear.",)))
    return Library(tmp_path / "profiles")


def probe(
    library: Library,
    *updates: Update | TargetError | ToolDenied,
    code: str = "pass",
    shape: object = lambda recording: recording,
) -> KeptProbe:
    return KeptProbe(
        library,
        lambda out: Target(Path(sys.executable), ("-c", code, str(out))),
        ["match_order"],
        binary=Path(sys.executable),
        accepted_unwinding=False,
        group="20260101-000000",
        shape=shape,  # type: ignore[arg-type]
        journal=Journal(),
        make=lambda _verdict: SourceWish("probe", "Function probe", lambda _target: Telling(updates)),
    )


def run(kept: KeptProbe, *, cancelled: bool = False) -> Kept:
    async def follow() -> Kept:
        told: list[object] = []
        async with asyncio.timeout(60), aclosing(kept.events()) as events:
            async for event in events:
                told.append(event)
                if cancelled:
                    kept.cancel()
        assert all(isinstance(event, Progress) for event in told[:-1]) and len(told) > 1
        last = told[-1]
        assert isinstance(last, Kept)
        return last

    return asyncio.run(follow())


def test_what_the_probes_saw_is_a_latency_of_the_function(probing: Library) -> None:
    ended = run(probe(probing, calls(10.0, 900), calls(10.2, 200, ns=9000), cost(0.03)))
    assert ended.error is None and ended.recording is not None
    again = probing.session(ended.session).folder.load()
    figures = {metric.key: metric for metric in metrics_of([again], fixed_work=False)}
    assert figures[f"p99 {BOOK}"].values == pytest.approx((9000,), rel=0.01) and figures[f"p50 {BOOK}"].unit == "ns"
    texts = [warning.text for warning in again.warnings]
    assert "It is dear." in texts
    assert any(text.startswith(f"A probe delays each call of {BOOK} by 2.00 µs, 3.0%") for text in texts)
    manifest = probing.session(ended.session).manifest
    assert manifest is not None and manifest.group == "20260101-000000" and manifest.state.value == "complete"


def test_the_warm_up_is_left_out_before_it_is_kept(probing: Library) -> None:
    def shape(recording: Recording) -> Recording:
        (series,) = (result for result in recording.results if isinstance(result, HistogramSeries))
        late = replace(
            series, tags=series.tags[1:], start_s=series.start_s[1:], length_s=series.length_s[1:],
            histograms=series.histograms[1:],
        )  # fmt: skip
        return replace(recording, results=(late, *recording.results[1:]))

    ended = run(probe(probing, calls(10.0, 900), calls(11.0, 50), shape=shape))
    assert ended.recording is not None and ended.recording.histograms is not None
    assert probing.session(ended.session).folder.load().histograms.whole(BOOK).total == 50  # type: ignore[union-attr]


def test_probes_that_fail_end_the_run_and_say_why(probing: Library) -> None:
    refused = ToolDenied("bpftrace runs as root alone.", advice="Run as root.")
    ended = run(probe(probing, refused, code="import time; time.sleep(50)"))
    assert ended.recording is None and ended.error == refused
    assert ended.finished is not None and ended.finished.target is not None
    assert ended.finished.target.seconds < 40, "nobody waits for a program whose probes are gone"


def test_functions_that_are_not_there_start_nothing(probing: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_image: Path, _names: Sequence[str]) -> tuple[Function, ...]:
        raise TargetError("There is no function called match_order.")

    monkeypatch.setattr(kept_probe, "functions_called", none)

    async def last() -> object:
        return [event async for event in probe(probing).events()][-1]

    ended = asyncio.run(last())
    assert isinstance(ended, Kept) and ended.error is not None and "no function called" in ended.error.sentence
    assert probing.sessions() == ()


def test_a_program_that_crashes_before_a_call_is_told_as_that(probing: Library) -> None:
    ended = run(probe(probing, code="import os; os.abort()"))
    assert ended.recording is None and ended.error is not None
    assert "ended badly: killed by SIGABRT" in ended.error.sentence


def test_a_program_that_crashes_later_keeps_what_was_seen(probing: Library) -> None:
    ended = run(probe(probing, calls(10.0, 40), code="import os; os.abort()"))
    assert ended.recording is not None and ended.finished is not None and ended.finished.target is not None
    assert ended.finished.target.crashed


def test_cancelled_it_leaves_nothing(probing: Library) -> None:
    ended = run(probe(probing, calls(10.0, 40), code="import time; time.sleep(50)"), cancelled=True)
    assert ended.recording is None and ended.session == "" and probing.sessions() == ()


def test_what_a_probe_costs_and_what_was_not_called_is_told(probing: Library) -> None:
    ended = run(probe(probing, calls(10.0, 40), calls(10.0, 0, series="idle"), cost(0.3, lost=1200)))
    assert ended.recording is not None
    cautions = probe_cautions(ended.recording)
    assert cautions[0].text.startswith("idle was not called") and "callers" in cautions[0].fix
    assert "30.0% of the program" in cautions[1].text and "1,200 calls were not counted" in cautions[1].text
    assert "less often" in cautions[1].fix
    unknown = run(probe(probing, calls(10.0, 40), cost(float("nan"), per_call_ns=float("nan"))))
    assert any("is not known on this machine" in warning.text for warning in unknown.recording.warnings)  # type: ignore[union-attr]
