"""Running tools: the recorder, its events, outcomes as sentences, and the journal of what was run."""

from __future__ import annotations

from tailflame.run.events import (
    Appeared,
    Event,
    Finished,
    Observed,
    Progress,
    Requested,
    Stage,
    Started,
    TargetStarted,
)
from tailflame.run.journal import Entry, Journal
from tailflame.run.outcome import Ending, Outcome
from tailflame.run.process import Output
from tailflame.run.recorder import Recorder
from tailflame.run.starting import Patience

__all__ = [
    "Appeared",
    "Ending",
    "Entry",
    "Event",
    "Finished",
    "Journal",
    "Observed",
    "Outcome",
    "Output",
    "Patience",
    "Progress",
    "Recorder",
    "Requested",
    "Stage",
    "Started",
    "TargetStarted",
]
