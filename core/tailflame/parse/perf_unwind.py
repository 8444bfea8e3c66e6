"""Recordings whose user stacks are yet to be unwound (`--call-graph dwarf`): perf does it, on every processor.

`perf script` unwinds a sample after the other, on one processor. Its `--time` limits what it unwinds and prints, not
what it follows: mappings, forks and names from before a slice are known in it. So one process is run for each slice of
the time, and what they print is put together in the order of the slices. Every process goes through the whole file, at
a quarter of the cost of unwinding ten frames: more slices than processors would take longer.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Int64
from tailflame.parse.perf_run import (
    PIPE,
    POLL_MS,
    Ended,
    complete,
    ended_as,
    killed,
    perf_program,
    run_script,
    script_argv,
    started,
)
from tailflame.parse.perf_script import PerfText

_LEAST = 2_000
"""Samples per slice: below that, starting perf takes longer than unwinding."""
_MOST_PROCESSES = 8
"""At once: each holds its own copy of the unwind tables, and more than that print faster than one reader reads."""


class Reading(Protocol):
    """What is read so far: the number of samples, and the time up to which they are read (-1: not known)."""

    def __len__(self) -> int: ...
    @property
    def latest_ns(self) -> int: ...


class Slice(NamedTuple):
    """Both ends belong to it, as to perf's --time; -1: open."""

    first_ns: int
    last_ns: int

    @property
    def argument(self) -> str:
        return ",".join(f"{ns // 10**9}.{ns % 10**9:09d}" if ns >= 0 else "" for ns in self)


def unwind(
    path: Path,
    *,
    fields: Sequence[str],
    has_chains: bool,
    first_ns: int,
    last_ns: int,
    samples: int,
    watch: Callable[[Reading], None],
    times: Int64 | None = None,
) -> tuple[PerfText, Ended]:
    """As perf_run.run_script, which it calls where slices do not pay: for a small file, and one without times.

    first_ns, last_ns: of the samples (-1: not known; samples outside are not lost); samples: how many the file holds
    (0: not known); times: of each sample, where they are known, to cut the work evenly. watch: called at least ten
    times a second; what it raises kills every perf. A slice that fails keeps what it gave, and `Ended` says which;
    where all fail, it is as if there was one. Raises ToolMissing and ToolFailed.
    """
    slices = slices_of(first_ns, last_ns, samples, processors=_processors(), times=times) if "time" in fields else []
    if len(slices) < 2:
        return run_script(path, fields=fields, has_chains=has_chains, watch=watch)
    perf = perf_program()
    asked = list(fields)
    while True:
        work = _Work(perf, path, asked, slices, first_ns, last_ns)
        ends = work.run(watch)
        refused = next((ended.refused for ended in ends if ended.refused in asked), "")
        if not refused:
            break
        asked.remove(refused)
    reader, *later = work.readers
    for part in later:
        reader.join(part)
    ended = _together(ends, slices, first_ns)
    if ended.code < 0 and not len(reader):
        raise killed(path, ended)
    complete(reader, perf, path, asked, has_chains=has_chains, watch=lambda: watch(reader))
    return reader, ended


def slices_of(first_ns: int, last_ns: int, samples: int, *, processors: int, times: Int64 | None = None) -> list[Slice]:
    """Slices without gap or overlap; the first and the last are open, so that no sample is outside of all.

    samples: 0 where it is not known. None where more than one would not pay. Raises nothing, whatever the times are.
    """
    number = min(processors, samples // _LEAST) if samples else processors
    if number < 2 or first_ns < 0 or last_ns <= first_ns:
        return []
    if times is not None and len(times) >= number:
        cuts = np.sort(times)[len(times) * np.arange(1, number) // number].tolist()
    else:
        cuts = [first_ns + (last_ns - first_ns) * i // number for i in range(1, number)]
    bounds = sorted({cut for cut in cuts if first_ns < cut <= last_ns})
    return [Slice(a, b - 1 if b >= 0 else NONE) for a, b in zip([NONE, *bounds], [*bounds, NONE], strict=True)]


def _processors() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)


def _together(ends: Sequence[Ended], slices: Sequence[Slice], first_ns: int) -> Ended:
    """One end of all: the first failure, and a last line that says what is missing."""
    failed = [number for number, ended in enumerate(ends) if ended.code]
    complaints = "".join(dict.fromkeys(line + "\n" for ended in ends for line in ended.complaints.splitlines()))
    if not failed:
        return Ended(0, complaints)
    first = ends[failed[0]]
    why = f"killed by signal {-first.code}" if first.code < 0 else first.last_complaint or f"exit code {first.code}"
    if len(failed) < len(ends):
        begin = max(slices[failed[0]].first_ns - first_ns, 0) / 1e9
        parts = "1 part" if len(failed) == 1 else f"{len(failed)} parts"
        why = (
            f"{parts} of {len(ends)} failed and may lack samples, the first of them {begin:.1f} s from the start: {why}"
        )
    return Ended(first.code, f"{complaints}{why}\n")


@dataclass(slots=True)
class _Child:
    """A perf process at work on a slice."""

    number: int
    process: subprocess.Popen[bytes]
    complaints: IO[bytes]


@dataclass(slots=True)
class _Work:
    """One run over all slices."""

    perf: str
    path: Path
    fields: Sequence[str]
    slices: Sequence[Slice]
    first_ns: int
    last_ns: int
    readers: list[PerfText] = field(default_factory=list)
    _ends: dict[int, Ended] = field(default_factory=dict)
    _children: dict[int, _Child] = field(default_factory=dict)  # by descriptor

    def __len__(self) -> int:
        return sum(map(len, self.readers))

    @property
    def latest_ns(self) -> int:
        """The time of the first sample, and what is covered of all slices since."""
        covered = 0
        for number, (part, reader) in enumerate(zip(self.slices, self.readers, strict=True)):
            begin = part.first_ns if part.first_ns >= 0 else self.first_ns
            end = part.last_ns + 1 if part.last_ns >= 0 else self.last_ns
            covered += end - begin if number in self._ends else min(max(reader.latest_ns - begin, 0), end - begin)
        return self.first_ns + covered

    def run(self, watch: Callable[[Reading], None]) -> list[Ended]:
        """Raises what `watch` raises, with no child left."""
        first = PerfText(keep_addresses=True)
        self.readers = [first, *(first.sibling() for _ in self.slices[1:])]
        waiting = list(range(len(self.slices)))[::-1]
        poll = select.poll()
        at_once = _processors()
        with contextlib.ExitStack() as files:
            try:
                while waiting or self._children:
                    while waiting and len(self._children) < at_once:
                        poll.register(self._start(waiting.pop(), files), select.POLLIN)
                    for descriptor, _ in poll.poll(POLL_MS):
                        child = self._children[descriptor]
                        data = os.read(descriptor, PIPE)
                        if data:
                            self.readers[child.number].feed(data)
                        else:
                            poll.unregister(descriptor)
                            self._finish(descriptor)
                    watch(self)
            except BaseException:
                self._kill()
                raise
        return [self._ends[number] for number in range(len(self.slices))]

    def _start(self, number: int, files: contextlib.ExitStack) -> int:
        complaints = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - `files` closes it
        # Every process would print the mappings of the whole file.
        records = ("--show-mmap-events", "--show-lost-events") if number == 0 else ()
        argv = script_argv(self.perf, self.path, self.fields, "--time", self.slices[number].argument, *records)
        process = started(argv, complaints)
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        self._children[descriptor] = _Child(number, process, complaints)
        return descriptor

    def _finish(self, descriptor: int) -> None:
        child = self._children.pop(descriptor)
        with child.process:
            pass
        self._ends[child.number] = ended_as(child.process, child.complaints)

    def _kill(self) -> None:
        for child in self._children.values():
            child.process.kill()
        for child in self._children.values():
            with child.process:
                pass
        self._children.clear()
