"""perf.data read here and by `perf script`: the same samples, stacks, periods and losses."""

from __future__ import annotations

from collections import Counter

import pytest

from helpers.environment import DATA
from tailflame.model import FrameKind, Recording, StackProfile
from tailflame.parse import load
from tailflame.parse.perf_data import PERF_DATA
from tailflame.parse.perf_file import PerfFile
from tailflame.parse.perfdata import reader
from tailflame.parse.perfdata.reader import OFF_CPU, Unread

FOLDER = DATA / "perf" / "6.1.187"
NATIVE = ["fp", "flat", "events", "packed", "pipe", "killed", "counters", "group", "faults", "extra", "switch"]
"""With call chains and without; several events; compressed; through a pipe; killed; hardware's numbers; a group that
reads counters; addresses and sizes of pages; registers, processors and namespaces; a tracepoint with switches."""


WITHOUT_BUILD_IDS = ("packed", "pipe", "killed")
"""perf takes whatever kernel and library are here for the recorded ones; Tailflame does not."""


def stacks(profile: StackProfile, *, names: bool) -> dict[str, Counter[tuple[str, ...]]]:
    """Samples and periods by event, thread and physical stack. names: with the functions of libraries and kernel."""
    found: dict[str, Counter[tuple[str, ...]]] = {}
    samples = profile.samples
    paths: dict[int, tuple[str, ...]] = {}
    columns = (samples.stack, samples.thread, samples.cpu, samples.event, samples.time_ns, samples.period)
    for stack, thread, cpu, event, time, period in zip(*(column.tolist() for column in columns), strict=True):
        name = profile.events[event].name
        if name == OFF_CPU:
            continue
        if stack not in paths:
            rows = [int(profile.stacks.frame[row]) for row in profile.stacks.path(stack)]
            paths[stack] = tuple(
                f"{shown(profile, row, names)} ({profile.frames.module_of(row)}) {profile.frames.kind[row]}"
                for row in rows
                if profile.frames.kind[row] != FrameKind.INLINED
            )
        who = profile.threads[thread]
        key = (who.name, f"{who.pid}/{who.tid} [{cpu}] {time} {period}", *paths[stack])
        found.setdefault(name, Counter())[key] += 1
    return found


def shown(profile: StackProfile, frame: int, names: bool) -> str:
    module = profile.frames.module_of(frame)
    return profile.frames.name_of(frame) if names or not module or module.endswith("/spin") else ""


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


@pytest.mark.tool("perf")
@pytest.mark.parametrize("name", NATIVE)
def test_both_ways_tell_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FOLDER / f"{name}.data"
    native = load(path)

    def refuse(file: PerfFile) -> None:
        raise Unread("a test asked for it")

    monkeypatch.setattr(reader, "why_not", refuse)
    scripted = load(path)
    said = "perf script read this file, which takes longer: a test asked for it."
    assert said in [caution.text for caution in scripted.warnings]
    ours, theirs = profile_of(native), profile_of(scripted)
    assert [event for event in ours.events if event.name != OFF_CPU] == list(theirs.events)
    names = name not in WITHOUT_BUILD_IDS
    assert stacks(ours, names=names) == stacks(theirs, names=names)
    assert native.meta.lost == scripted.meta.lost
    assert native.meta.duration_s == scripted.meta.duration_s
    assert native.meta.build_ids == scripted.meta.build_ids
    if names:
        assert {w.text for w in native.warnings} == {w.text for w in scripted.warnings} - {said}


def test_no_perf_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    recording = load(FOLDER / "fp.data")
    assert len(profile_of(recording).samples) == 849
    assert recording.format == PERF_DATA.name
