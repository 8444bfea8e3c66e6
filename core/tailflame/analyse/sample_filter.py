"""Which samples of a profile are looked at: of which threads, processors and functions, and in which range of time.

A filter never changes stacks, frames or threads: it is a mask over the rows of the samples, and everything that is
counted by stack is counted anew from the rows that stay.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tailflame.analyse.filter_language import NAMES, Name, Range, Term, What
from tailflame.analyse.names import plain
from tailflame.model.stacks import NONE, Bool, Int64, StackProfile

OFF_CPU = "off-CPU"
"""The event whose samples are times in which a thread waited, in nanoseconds: a cost of its own, never added to CPU."""
_KEPT = 8
_FEW = 50


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """span: (start, end) in seconds since the profile's first sample, None for all times; threads: indices into the
    profile's threads, None for all; terms: what the filter's expression says (filter_language.parse).
    """

    span: tuple[float, float] | None = None
    terms: tuple[Term, ...] = ()
    threads: frozenset[int] | None = None

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return self.span is not None or bool(self.terms) or self.threads is not None


EVERYTHING = SampleFilter()


def zero_ns(profile: StackProfile) -> int:
    """The time of the first sample; 0 where none tells its time. What a range of time counts from."""
    times = profile.samples.time_ns
    known = times[times >= 0] if len(times) and times.min() < 0 else times
    return int(known.min()) if len(known) else 0


def rows(profile: StackProfile, wanted: SampleFilter) -> Bool:
    """True for the samples that are in. A sample without a time is in no range, one of no known thread in no thread."""
    return SampleRows(profile).rows(wanted)


def filtered(profile: StackProfile, wanted: SampleFilter) -> StackProfile:
    """The same profile with the samples that are in alone: tables of stacks, frames, threads and sites stay."""
    if not wanted:
        return profile
    return replace(profile, samples=profile.samples.at(rows(profile, wanted)))


def remark(samples: float) -> str:
    """What is to be said of a part with so few samples; "" where there are enough."""
    if not samples:
        return "No sample is in this part."
    if samples < _FEW:
        number = "1 sample is" if samples == 1 else f"{samples:,.0f} samples are"
        return f"Only {number} in this part: shares are rough, and what is rare is missing."
    return ""


def unmatched(profile: StackProfile, terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Names in `terms` that nothing in the profile has, as sentences."""
    found = []
    for term in terms:
        if term.what in NAMES:
            names = _names(profile, term.what)
            found += [
                f"No {term.what} has “{value.text}” in its name."
                for value in term.values
                if isinstance(value, Name) and not value.found_in(names).any()
            ]
    return tuple(found)


class SampleRows:
    """The masks of one profile; those of the last expressions are kept, so that a range can be dragged."""

    def __init__(self, profile: StackProfile) -> None:
        self.profile = profile
        times = profile.samples.time_ns
        self.zero_ns = zero_ns(profile)
        self._sorted = bool(len(times)) and times[0] >= 0 and bool((times[1:] >= times[:-1]).all())
        self._masks: dict[Term | frozenset[int], Bool] = {}
        self._lock = threading.Lock()

    def rows(self, wanted: SampleFilter) -> Bool:
        """As the function `rows`."""
        samples = self.profile.samples
        mask: Bool = np.ones(len(samples), dtype=bool)
        for key in wanted.terms:
            mask &= self._kept(key, lambda key=key: self._term(key))  # type: ignore[misc]
        if wanted.threads is not None:
            chosen = wanted.threads
            mask &= self._kept(chosen, lambda: np.isin(samples.thread, np.fromiter(chosen, dtype=np.int32)))
        if wanted.span is not None:
            self._cut(mask, *wanted.span)
        return mask

    def _kept(self, key: Term | frozenset[int], make: Callable[[], Bool]) -> Bool:
        with self._lock:
            mask = self._masks.pop(key, None)
        if mask is None:
            mask = make()
        with self._lock:
            self._masks[key] = mask
            while len(self._masks) > _KEPT:
                del self._masks[next(iter(self._masks))]
        return mask

    def _cut(self, mask: Bool, start_s: float, end_s: float) -> None:
        times = self.profile.samples.time_ns
        start, end = self._ns(start_s), self._ns(end_s)
        if self._sorted:
            first, last = np.searchsorted(times, [start, end])
            mask[:first] = False
            mask[last:] = False
        else:
            mask &= (times >= start) & (times < end) & (times >= 0)

    def _ns(self, seconds: float) -> int:
        if math.isinf(seconds):
            return 2**63 - 1 if seconds > 0 else 0
        return min(max(self.zero_ns + round(seconds * 1e9), 0), 2**63 - 1)

    def _term(self, term: Term) -> Bool:
        profile, samples = self.profile, self.profile.samples
        match term.what:
            case What.THREAD | What.PROCESS:
                found = _taken(self._by_name(term), samples.thread)
            case What.TID | What.PID:
                ids = [thread.tid if term.what is What.TID else thread.pid for thread in profile.threads]
                found = _taken(_in_ranges(np.asarray(ids, dtype=np.int64), term), samples.thread)
            case What.EVENT:
                found = _taken(self._by_name(term), samples.event)
            case What.CPU:
                found = _in_ranges(samples.cpu, term)
            case What.TIME:
                found = np.zeros(len(samples), dtype=bool)
                for value in term.values:
                    part = np.ones(len(samples), dtype=bool)
                    assert isinstance(value, Range)
                    self._cut(part, value.low, value.high)
                    found |= part
            case What.FUNCTION | What.MODULE:
                found = _taken(self._stacks_with(term), samples.stack)
        return ~found if term.excluded else found

    def _by_name(self, term: Term) -> Bool:
        return _any_of(term, _names(self.profile, term.what))

    def _stacks_with(self, term: Term) -> Bool:
        """Stacks with such a frame anywhere."""
        frames, stacks = self.profile.frames, self.profile.stacks
        found = _any_of(term, _names(self.profile, term.what))
        of_frame = _taken(found, frames.name if term.what is What.FUNCTION else frames.module)
        return reached(stacks.parent, of_frame[stacks.frame])


def reached(parent: Int64, marked: Bool) -> Bool:
    """True for rows that are marked or have a marked ancestor."""
    reach, up = marked.copy(), parent.copy()
    live = np.flatnonzero(up >= 0)
    while len(live):
        above = up[live]
        reach[live] |= reach[above]
        up[live] = up[above]
        live = live[(up[live] >= 0) & ~reach[live]]
    return reach


def _taken(table: Bool, index: Int64) -> Bool:
    """`table` at `index`; False for -1."""
    padded = np.append(table, False)
    answer: Bool = padded[index]
    return answer


def _any_of(term: Term, names: list[str]) -> Bool:
    found = np.zeros(len(names), dtype=bool)
    for value in term.values:
        assert isinstance(value, Name)
        found |= value.found_in(names)
    return found


def _in_ranges(numbers: Int64, term: Term) -> Bool:
    found = np.zeros(len(numbers), dtype=bool)
    for value in term.values:
        assert isinstance(value, Range)
        found |= (numbers >= max(value.low, 0)) & (numbers <= value.high)
    return found


def _names(profile: StackProfile, what: What) -> list[str]:
    """What a term of names looks through: by thread, event, or string of the frames' table."""
    match what:
        case What.THREAD:
            return [thread.name for thread in profile.threads]
        case What.PROCESS:
            of_process = process_names(profile)
            return [of_process.get(thread.pid, "") for thread in profile.threads]
        case What.EVENT:
            return [event.name for event in profile.events]
        case What.MODULE:
            used = np.unique(profile.frames.module)
            return _only(profile.frames.strings, used)
        case _:
            used = np.unique(profile.frames.name)
            return [plain(text) for text in _only(profile.frames.strings, used)]


def _only(strings: tuple[str, ...], used: Int64) -> list[str]:
    """The strings that are used, "" for the others, which are no business of the term's."""
    names = [""] * len(strings)
    for index in used.tolist():
        if index != NONE:
            names[index] = strings[index]
    return names


def process_names(profile: StackProfile) -> dict[int, str]:
    """The name of each process: its main thread's, else that of the first thread seen of it."""
    names: dict[int, str] = {}
    for thread in profile.threads:
        if thread.pid != NONE and (thread.pid not in names or thread.tid == thread.pid):
            names[thread.pid] = thread.name
    return names
