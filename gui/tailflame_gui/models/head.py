"""What the title line of a recording says."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath

from tailflame.model import Recording, Weight
from tailflame.model.heap import Counted
from tailflame.units import seconds, size
from tailflame_gui.models.scope import amount_text, first_event


def head_of(recording: Recording, *, title: str = "", commit: str = "") -> tuple[str, str]:
    """(name, facts) of a recording: what its title line says."""
    meta = recording.meta
    name = title or (PurePath(meta.command[0]).name if meta.command else "") or meta.title
    name = name or PurePath(recording.source).name
    parts = [" ".join(part for part in (recording.tool, meta.tool_version) if part)]
    if meta.started_at is not None:
        parts.append(moment(meta.started_at))
    if commit:
        parts.append(commit)
    parts.append(how_much(recording))
    if meta.duration_s is not None:
        parts.append(seconds(meta.duration_s))
    return name, "  ·  ".join(part for part in parts if part)


def how_much(recording: Recording) -> str:
    """What a recording holds of the event that its views begin with: "48,210 samples", "8.9 MB at the peak"."""
    profile, heap = recording.profile, recording.heap
    if heap is not None and heap.counted is Counted.STACKS and heap.facts.peak_stacks is not None:
        return f"{size(heap.facts.peak_stacks)} of stacks at the peak"
    if heap is not None and heap.facts.peak is not None:
        return f"{size(heap.facts.peak)}{' mapped' if heap.counted is Counted.PAGES else ''} at the peak"
    if profile is None:
        return ""
    event = first_event(recording)
    counts, whole = (profile.total(event=event, weight=weight) for weight in (Weight.SAMPLES, Weight.PERIOD))
    return amount_text(profile, event, counts=counts, weight=whole)


def moment(when: datetime) -> str:
    """In the reader's own time, where the file tells its zone."""
    return (when.astimezone() if when.tzinfo else when).strftime("%Y-%m-%d %H:%M")
