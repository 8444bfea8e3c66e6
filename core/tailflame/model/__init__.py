"""What a measurement is: frozen dataclasses over read-only arrays."""

from tailflame.model.costs import CostTable
from tailflame.model.counters import CounterSeries
from tailflame.model.heap import HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.histogram import Histogram, HistogramRecorder, HistogramSeries, merge_all
from tailflame.model.maps import Bucket, MapKind, MapRow, ProbeMap, ProbeMaps
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
from tailflame.model.syscalls import SyscallSums, SyscallTrace

__all__ = [
    "NONE",
    "Bucket",
    "Caution",
    "CostTable",
    "CounterSeries",
    "Event",
    "FrameKind",
    "FrameTable",
    "HeapFacts",
    "HeapTimeline",
    "Histogram",
    "HistogramRecorder",
    "HistogramSeries",
    "Machine",
    "MapKind",
    "MapRow",
    "Meta",
    "ProbeMap",
    "ProbeMaps",
    "Recording",
    "SampleTable",
    "SiteTable",
    "StackBuilder",
    "StackProfile",
    "StackTable",
    "SyscallSums",
    "SyscallTrace",
    "Thread",
    "TimeUnit",
    "Weight",
    "merge_all",
]
