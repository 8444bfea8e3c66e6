"""What a measurement is: frozen dataclasses over read-only arrays."""

from tailflame.model.counters import CounterSeries
from tailflame.model.histogram import Histogram, HistogramRecorder, HistogramSeries, merge_all
from tailflame.model.recording import Caution, Machine, Meta, Recording
from tailflame.model.stacks import (
    NONE,
    Event,
    FrameKind,
    FrameTable,
    SampleTable,
    SiteTable,
    StackBuilder,
    StackProfile,
    StackTable,
    Thread,
    Weight,
)

__all__ = [
    "NONE",
    "Caution",
    "CounterSeries",
    "Event",
    "FrameKind",
    "FrameTable",
    "Histogram",
    "HistogramRecorder",
    "HistogramSeries",
    "Machine",
    "Meta",
    "Recording",
    "SampleTable",
    "SiteTable",
    "StackBuilder",
    "StackProfile",
    "StackTable",
    "Thread",
    "Weight",
    "merge_all",
]
