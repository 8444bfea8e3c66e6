"""A recording gives its results by kind and gathers cautions."""

from __future__ import annotations

import numpy as np

from helpers.stacks import profile
from tailflame.model import Caution, Histogram, HistogramSeries, Meta, Recording

STACKS = profile("main;work 3")
SERIES = HistogramSeries(("",), (0.0,), (1.0,), (Histogram(np.ones(3, dtype=np.int64)),))


def recording(*results: object) -> Recording:
    return Recording(tool="perf", format="folded", source="x", results=results)  # type: ignore[arg-type]


def test_results_by_kind() -> None:
    both = recording(SERIES, STACKS)
    assert both.profile is STACKS
    assert both.histograms is SERIES
    assert recording(SERIES).profile is None
    assert recording(STACKS).histograms is None


def test_cautions_are_gathered_once_and_in_order() -> None:
    first, second = Caution("a"), Caution("b", "do it")
    told = recording().with_warnings(first, second).with_warnings(second, first, Caution("c"))
    assert told.warnings == (first, second, Caution("c"))
    assert recording().warnings == ()


def test_what_a_file_does_not_tell_is_none_not_zero() -> None:
    meta = Meta()
    assert (meta.started_at, meta.duration_s, meta.rate_asked_hz, meta.lost) == (None, None, None, None)
