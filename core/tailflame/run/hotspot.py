"""Everything that a measurement tells of one function, and its share of the time in the measurements before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tailflame.analyse.function_facts import (
    CacheFacts,
    CallFacts,
    HeapFacts,
    HotspotFacts,
    Turn,
    cache_facts,
    call_facts,
    cpu_shares,
    has_call_stacks,
    heap_facts,
)
from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.model.iteration import Iteration, StepState
from tailflame.store import Library

_MOST_TURNS = 12
"""Measurements of the history: each repetition's profile is read."""


def hotspot_facts(
    library: Library,
    iteration: Iteration,
    function: str,
    *,
    history: Sequence[Iteration] = (),
    progress: Callable[[float], None] | None = None,
) -> HotspotFacts:
    """Reads recordings: seconds, so in a thread. history: measurements of the project, newest first, this one too."""
    turns: list[Turn] = []
    cpu: Recording | None = None
    listed = [one for one in history if one.id != iteration.id and one.started_at <= iteration.started_at]
    chosen = [iteration, *listed[: _MOST_TURNS - 1]]
    for at, one in enumerate(chosen):
        found = []
        for recording in _recordings(library, one, "cpu"):
            if recording.profile is not None and recording.profile.events:
                found.append(cpu_shares(recording.profile, function))
                cpu = cpu or recording
        if found:
            turns.append(Turn(one, tuple(found)))
        if progress is not None:
            progress((at + 1) / len(chosen))
    missing: dict[str, str] = {}
    if cpu is None:
        missing["cpu"] = _why_not(iteration, "cpu", "The step “cpu” of the plan tells where its time goes.")
    named = next((shares.function for turn in turns for shares in turn.shares), function)
    caches = _caches(library, iteration, function, missing)
    heap = _heap(library, iteration, function, missing)
    calls = _calls(library, iteration, function, missing)
    return HotspotFacts(
        function=named,
        iteration=iteration,
        turns=tuple(sorted(turns, key=lambda turn: turn.iteration.started_at)),
        cpu=cpu,
        sessions={step.name: step.session for step in reversed(iteration.steps) if _is_there(step.state, step.session)},
        caches=caches,
        heap=heap,
        calls=calls,
        missing=missing,
    )


def _caches(library: Library, one: Iteration, function: str, missing: dict[str, str]) -> CacheFacts | None:
    for recording in _recordings(library, one, "caches"):
        if recording.costs is not None:
            found = cache_facts(recording.costs, function)
            if found is None:
                missing["caches"] = "The cache simulation has not seen this function under its name."
            return found
    missing["caches"] = _why_not(one, "caches", "The step “caches” of the plan tells the misses of each line.")
    return None


def _heap(library: Library, one: Iteration, function: str, missing: dict[str, str]) -> HeapFacts | None:
    for recording in _recordings(library, one, "heap"):
        if recording.heap is not None:
            found = heap_facts(recording, function)
            if found is None:
                missing["heap"] = "No memory was asked for by this function or by what it calls."
            return found
    missing["heap"] = _why_not(one, "heap", "The step “heap” of the plan tells what it allocates.")
    return None


def _calls(library: Library, one: Iteration, function: str, missing: dict[str, str]) -> tuple[CallFacts, ...] | None:
    for recording in _recordings(library, one, "syscalls"):
        if recording.syscalls is None:
            continue
        if recording.profile is None or not has_call_stacks(recording.profile):
            missing["syscalls"] = (
                "The system calls were recorded without call stacks, so nobody can tell which function made them: "
                "“stacks = true” in the plan’s [tools.strace] records them."
            )
            return None
        found = call_facts(recording.profile, function)
        if not found:
            missing["syscalls"] = "Neither this function nor what it calls made a system call."
        return found or None
    missing["syscalls"] = _why_not(
        one, "syscalls", "The step “syscalls” of the plan, with stacks, tells which calls it makes."
    )
    return None


def _recordings(library: Library, one: Iteration, name: str) -> list[Recording]:
    """Of a step that is done; those that cannot be read any more are left out."""
    found = []
    for step in one.steps:
        if step.name == name and step.state is StepState.DONE and step.session:
            try:
                found.append(library.session(step.session).folder.load())
            except StoreError:
                continue
    return found


def _why_not(one: Iteration, name: str, otherwise: str) -> str:
    """The problem of the step that would tell, or that there was none."""
    problem = next((step.problem for step in one.steps if step.name == name and step.problem), "")
    done = any(step.name == name and step.state is StepState.DONE for step in one.steps)
    if done:
        return f"The result of the step “{name}” is not in the library any more."
    return problem or f"It was not measured. {otherwise}"


def _is_there(state: StepState, session: str) -> bool:
    return state is StepState.DONE and session != ""
