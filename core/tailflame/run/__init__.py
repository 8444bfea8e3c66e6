"""Running tools: the recorder, its events, outcomes as sentences, and the journal of what was run."""

from __future__ import annotations

from tailflame.run.events import Event, Finished, Observed, Progress, Stage, Started, TargetStarted
from tailflame.run.journal import Entry, Journal
from tailflame.run.outcome import Ending, Outcome
from tailflame.run.process import Output
from tailflame.run.recorder import Patience, Recorder

__all__ = [
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
    "Stage",
    "Started",
    "TargetStarted",
]
