"""What slow calls do that fast ones do not: the samples of one recording, told apart by the calls they fell into.

A slow call is known by its thread, start and end (model/slow_calls.py), all of CLOCK_MONOTONIC, as the samples' times
are where perf records with `-k CLOCK_MONOTONIC`. Of fast calls nothing is known one by one, for telling each would cost
too much: a sample is in a fast call where its stack shows the function and no slow call was going on in its thread.
Where no stack shows it (call graphs are off; the times come from a log), all other samples of the same threads stand
for the fast ones. What cannot be told is counted, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from tailflame import units
from tailflame.analyse.diff import Comparison, compare
from tailflame.analyse.names import match_key, short
from tailflame.analyse.noise import LEVEL
from tailflame.model.live_record import LiveRecord
from tailflame.model.slow_calls import SlowCalls
from tailflame.model.stacks import NONE, Bool, Float64, Int32, Int64, SampleTable, StackProfile, Weight, readonly

# "name [2f7c1a9d]", "name #2": how a probe tells apart what has one name.
_TOLD_APART = re.compile(r"( \[[^\]]{1,8}\])?( #\d+)?$")
_PROBES = frozenset(
    ("asm_exc_int3", "exc_int3", "handle_swbp", "uprobe_notify_resume", "uprobe_dispatcher", "uretprobe_dispatcher")
)
"""What the kernel does for a probe: its breakpoint, and what runs there. It would be the largest part of fast calls."""
_FEW = 100
"""Samples on a side below which hardly anything can be told from noise."""
OWN_WORDS = "is the slow calls' own"
"""Follows the function's name in a sentence of the verdict."""
_OWN = 10.0
"""A function is the slow calls' own where its share of theirs is so many times that of the fast ones."""
_MOSTLY, _PARTED = 0.5, 0.5
_TESTED_SHARE = 0.01
_WITNESSES = 3.0
"""Slow calls in which it was seen, at least."""
_NONE_SEEN = 3.0
"""Where none was seen of a function, so many samples may have been there."""


@dataclass(frozen=True, slots=True, eq=False)
class SlowSplit:
    """Both sides, as profiles, and what belongs to neither. Counts are rows of the profile's samples.

    by_stack: whether stacks told what is in a fast call. calls: slow ones that were kept; lost: that were not.
    threadless: slow calls of an unknown thread. unseen: slow calls in which no sample fell. length_ns: of all slow
    calls, time that two of a thread share once. outside: samples in no call of the function. unwatched: taken before or
    after slow calls were kept. unplaced: without a time or a thread. torn: in a slow call, but their stack does not
    show the function. probing: of the probe itself, at the start and the end of each call. in_slow: all samples that
    fell into slow calls.
    """

    series: str
    threshold_ns: int
    fast: StackProfile
    slow: StackProfile
    by_stack: bool
    calls: int
    lost: int
    threadless: int
    unseen: int
    length_ns: int
    outside: int
    unwatched: int
    unplaced: int
    torn: int
    probing: int
    in_slow: int

    @property
    def samples_per_call(self) -> float:
        """Of the slow calls that have some; 1 at least."""
        return max(len(self.slow.samples) / max(self.calls - self.unseen, 1), 1.0)

    def compared(self, *, event: int = 0, weight: Weight = Weight.SAMPLES, inlines: bool | None = None) -> Comparison:
        """Fast as "before", slow as "after", each by its own total."""
        return compare(self.fast, self.slow, event_before=event, event_after=event, weight=weight, inlines=inlines)

    def facts(self, *, rate_hz: float | None = None) -> tuple[str, ...]:
        """Sentences: what stands against what, and what could not be told. rate_hz: as the recording was granted it."""
        many = units.count
        said = [
            f"{many(self.calls)} calls of {short(self.series)} took {units.nanoseconds(self.threshold_ns)} or longer, "
            f"{units.nanoseconds(self.length_ns)} in all: {many(len(self.slow.samples))} samples, against "
            f"{many(len(self.fast.samples))} in faster calls."
        ]
        if rate_hz and self.length_ns:
            share = min(self.in_slow / rate_hz / (self.length_ns / 1e9), 1.0)
            said.append(
                f"On a processor they were {units.percent(share, digits=0)} of that time; "
                "in the rest they waited, and samples of CPU time do not show what for."
            )
        if min(len(self.slow.samples), len(self.fast.samples)) < _FEW:
            said.append("These are few samples: record at a higher rate or for longer.")
        if not self.by_stack:
            said.append("No stack shows the function, so all other samples of its threads stand for the fast calls.")
        parts = (
            (self.unseen, "of the slow calls have no sample"),
            (self.threadless, "of the slow calls name no thread of the program"),
            (self.lost, "slow calls were not kept, as there were too many at a time; their samples count as fast"),
            (self.probing, "samples are of the probe itself, and not of the program"),
            (self.outside, "samples are in no call of it"),
            (self.torn, "samples in slow calls have a stack that does not show it"),
            (self.unwatched, "samples were taken while slow calls were not kept"),
            (self.unplaced, "samples have no time or thread"),
        )
        if left := [f"{many(number)} {what}" for number, what in parts if number]:
            said.append(f"Left out or unsure: {'; '.join(left)}.")
        return tuple(said)


def split(profile: StackProfile, record: LiveRecord, *, series: str = "") -> SlowSplit:
    """Tells the samples apart by the slow calls of one function (`series`; the first that has some).

    ValueError, phrased for people, where the run has kept none.
    """
    names = tuple(dict.fromkeys(calls.series for calls in record.slow))
    if not names:
        raise ValueError("No slow calls were kept in this run")
    counts = {name: sum(len(calls) for calls in record.slow if calls.series == name) for name in names}
    chosen = _chosen(series, names) if series else max(names, key=lambda name: counts[name])
    if not counts[chosen]:
        raise ValueError(f"No call of {short(chosen)} was slow")
    return attribute(profile, [calls for calls in record.slow if calls.series == chosen])


def _chosen(wanted: str, names: Sequence[str]) -> str:
    for same in (lambda name: name == wanted, lambda name: short(name) == wanted, lambda name: wanted in name):
        found = [name for name in names if same(name)]
        if found:
            return found[0]
    raise ValueError(f"No slow calls of “{wanted}” were kept, only of: {', '.join(map(short, names))}")


def attribute(profile: StackProfile, stretches: Sequence[SlowCalls]) -> SlowSplit:
    """`stretches`: of one series, one for each time in which it was watched; at least one."""
    samples = profile.samples
    tid, start, end = (
        np.concatenate([getattr(calls, name) for calls in stretches]) for name in ("tid", "start_ns", "end_ns")
    )
    tids = np.array([thread.tid for thread in profile.threads] or [NONE], dtype=np.int64)
    sample_tid = np.where(samples.thread >= 0, tids[samples.thread], NONE)
    placed = (samples.time_ns >= 0) & (sample_tid >= 0)
    watched = np.zeros(len(samples), dtype=bool)
    for calls in stretches:
        begin, over = (int(s * 1e9) for s in (calls.start_s, calls.end_s))
        watched |= (samples.time_ns >= begin) & (samples.time_ns < over)
    within, seen = inside(sample_tid, samples.time_ns, tid, start, end)
    # A call that began before its thread was watched is known as a whole when it ends.
    watched = (watched | within) & placed
    within &= placed
    in_slow = int(within.sum())
    series = stretches[0].series
    in_function = _shows(profile, {match_key(name) for name in (series, _TOLD_APART.sub("", series))})
    by_stack = bool((in_function & watched).any())
    theirs = in_function if by_stack else np.isin(sample_tid, tid)
    probing = watched & theirs & _shows(profile, _PROBES)
    theirs &= ~probing
    watched &= ~probing
    within &= ~probing
    slow, fast = within & theirs, watched & ~within & theirs
    return SlowSplit(
        series=stretches[0].series,
        threshold_ns=min(calls.threshold_ns for calls in stretches),
        fast=_only(profile, fast),
        slow=_only(profile, slow),
        by_stack=by_stack,
        calls=len(tid),
        lost=sum(calls.lost for calls in stretches),
        threadless=int((tid < 0).sum()),
        unseen=int(len(tid) - seen.sum()),
        length_ns=_union_ns(tid, start, end),
        probing=int(probing.sum()),
        in_slow=in_slow,
        outside=int((watched & ~within & ~theirs).sum()),
        unwatched=int((placed & ~watched & ~probing).sum()),
        unplaced=int((~placed).sum()),
        torn=int((within & ~theirs).sum()),
    )


def inside(sample_tid: Int64, time_ns: Int64, tid: Int32, start_ns: Int64, end_ns: Int64) -> tuple[Bool, Bool]:
    """By sample: whether a call of its thread was going on; by call: whether a sample fell into it.

    Calls may lie within each other and overlap (recursion). Both ends belong to a call. Thread by thread: more calls
    have begun than ended where one is going on, and both are counted by binary search.
    """
    within = np.zeros(len(sample_tid), dtype=bool)
    seen = np.zeros(len(tid), dtype=bool)
    for rows, calls in _by_thread(sample_tid, tid):
        begins, ends, times = np.sort(start_ns[calls]), np.sort(end_ns[calls]), time_ns[rows]
        open_then = np.searchsorted(begins, times, side="right") - np.searchsorted(ends, times, side="left")
        within[rows] = open_then > 0
        ordered = np.sort(times)
        first = np.searchsorted(ordered, start_ns[calls], side="left")
        seen[calls] = np.searchsorted(ordered, end_ns[calls], side="right") > first
    return within, seen


def _by_thread(sample_tid: Int64, tid: Int32) -> Iterable[tuple[Int64, Int64]]:
    """(sample rows, call rows) of each thread that has both."""
    by_sample, by_call = np.argsort(sample_tid, kind="stable"), np.argsort(tid, kind="stable")
    ordered_samples, ordered_calls = sample_tid[by_sample], tid[by_call]
    for one in np.unique(ordered_calls):
        rows = by_sample[slice(*np.searchsorted(ordered_samples, (one, one + 1)))]
        if one >= 0 and len(rows):
            yield rows, by_call[slice(*np.searchsorted(ordered_calls, (one, one + 1)))]


def _union_ns(tid: Int32, start: Int64, end: Int64) -> int:
    """The length of all calls; what lies within another call of the thread counts once."""
    total = 0
    order = np.lexsort((start, tid))
    threads, begins, ends = tid[order], start[order], end[order]
    for part in np.split(np.arange(len(order)), np.flatnonzero(np.diff(threads)) + 1):
        if len(part):
            reached = np.maximum.accumulate(ends[part])
            before = np.concatenate([begins[part][:1], reached[:-1]])
            total += int(np.maximum(reached - np.maximum(begins[part], before), 0).sum())
    return total


def _shows(profile: StackProfile, wanted: Collection[str]) -> Bool:
    """By sample: whether its stack holds a function of these match keys."""
    frames, stacks = profile.frames, profile.stacks
    keys = np.array([match_key(text) in wanted for text in frames.strings] or [False], dtype=bool)
    if not len(stacks):
        return np.zeros(len(profile.samples), dtype=bool)
    shown = keys[frames.name][stacks.frame]
    ancestor = np.asarray(stacks.parent, dtype=np.int64)
    while (live := np.flatnonzero(ancestor >= 0)).size:
        up = ancestor[live]
        shown[live] |= shown[up]
        ancestor[live] = ancestor[up]
    return np.where(profile.samples.stack >= 0, shown[profile.samples.stack], False)


def _only(profile: StackProfile, rows: Bool) -> StackProfile:
    """The profile with these samples alone; its tables stay as they are."""
    kept: dict[str, Any] = {
        column.name: None if values is None else readonly(values[rows], values.dtype)
        for column in fields(SampleTable)
        for values in (getattr(profile.samples, column.name),)
    }
    return replace(profile, samples=SampleTable(**kept))


@dataclass(frozen=True, slots=True)
class OwnFrame:
    """A function that slow calls are in and fast ones are not, or hardly: shares of the samples, 0..1, with callees."""

    name: str
    share_slow: float
    share_fast: float

    @property
    def sentence(self) -> str:
        fast = f"{units.percent(self.share_fast)} of the fast ones'" if self.share_fast else "none of the fast ones'"
        return f"{short(self.name)} {OWN_WORDS}: {units.percent(self.share_slow)} of their samples, {fast}."


def own_frames(parts: SlowSplit, comparison: Comparison) -> tuple[OwnFrame, ...]:
    """The functions in which the paths of slow calls part from those of fast ones, the largest first.

    Of a path that only slow calls take the topmost is named: what it calls follows from it. Each is beyond the noise,
    its callees counted in: samples of one slow call are no independent witnesses, so as many as a call has on average
    count as one.
    """
    tree = comparison.tree
    whole_fast, whole_slow = tree.whole_before or 1.0, tree.whole_after or 1.0
    fast, slow = tree.total_before / whole_fast, tree.total_after / whole_slow
    # What a sample weighs: with periods, samples are told from weights.
    unit_fast, unit_slow = (
        whole / (len(side.samples) or 1) for whole, side in ((whole_fast, parts.fast), (whole_slow, parts.slow))
    )
    witnesses = tree.total_after / unit_slow / parts.samples_per_call
    others = np.maximum(tree.total_before / unit_fast, _NONE_SEEN)
    tested = (slow >= _TESTED_SHARE) & (witnesses >= _WITNESSES)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(slow) - np.log(np.maximum(fast, _NONE_SEEN * unit_fast / whole_fast))
        z = ratio / np.sqrt(1 / witnesses + 1 / others)
    enough = NormalDist().inv_cdf(1 - LEVEL / max(int(tested.sum()), 1))
    own = tested & (z > enough) & (slow > _OWN * fast)
    below = np.zeros(len(tree), dtype=bool)
    for begin, end in zip(tree.level_start[1:-1], tree.level_start[2:], strict=True):
        level = slice(int(begin), int(end))
        parent = tree.parent[level]
        below[level] = own[parent] | below[parent]
    found: dict[int, OwnFrame] = {}
    for top in np.flatnonzero(own & ~below):
        node = _parting(int(top), tree.parent, slow, others / whole_fast)
        function = int(tree.function[node])
        before = found.get(function, OwnFrame(tree.name(node), 0.0, 0.0))
        found[function] = OwnFrame(
            before.name, before.share_slow + float(slow[node]), before.share_fast + float(fast[node])
        )
    return tuple(sorted(found.values(), key=lambda frame: frame.share_fast - frame.share_slow))


def _parting(node: int, parent: Int32, slow: Float64, fast: Float64) -> int:
    """Further down, where most of a node's slow samples are and few of its fast ones: the paths part there, and what
    is above is only a way to it."""
    while True:
        children = np.flatnonzero(parent == node)
        if not len(children):
            return node
        child = int(children[np.argmax(slow[children])])
        if slow[child] < _MOSTLY * slow[node] or fast[child] / slow[child] > _PARTED * fast[node] / slow[node]:
            return node
        node = child


def verdict(parts: SlowSplit, comparison: Comparison) -> tuple[str, ...]:
    """Sentences: the slow calls' own functions first, then what else takes more or less of their time."""
    own = tuple(frame.sentence for frame in own_frames(parts, comparison))
    return (*own, *(sentence for sentence in comparison.verdict if not (own and "No function moved" in sentence)))
