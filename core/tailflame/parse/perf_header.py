"""What a recording of perf says about itself: the same facts from a perf.data file and from `perf script --header`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tailflame.model import NONE, Event, Machine, Meta, SampleTable
from tailflame.parse.perf_records import nanoseconds
from tailflame.units import Unit

# Options of `perf record` whose value is a word of its own.
_SHORT_WITH_VALUE = frozenset("cCDeFGjkmoprtu")
_LONG_WITH_VALUE = frozenset(
    (
        *("affinity", "call-graph", "cgroup", "clang-opt", "clang-path", "clockid", "control", "count", "cpu", "delay"),
        *("branch-filter", "event", "filter", "freq", "max-size", "mmap-flush", "mmap-pages", "num-thread-synthesize"),
        *("output", "pid", "proc-map-timeout", "realtime", "switch-max-files", "switch-output-event", "synth", "tid"),
        *("uid", "vmlinux"),
    )
)
_OTHER_TARGET = frozenset(("a", "p", "t", "C", "u", "all-cpus", "pid", "tid", "cpu", "uid"))
"""With these, a command only says how long to record."""
_CLOCK_EVENT = re.compile(r"(?:cpu-clock|task-clock)(?::[a-zA-Z]+)?")

_COMMENT = re.compile(r"# ?([a-z][a-z ]*?)\s*: (.*)")
_EVENT_NAME = re.compile(r"name = (.*?), ")
_EVENT_RATE = re.compile(r"(?:sample_freq \}|sample_period|sample_freq) = (\d+)")
_SAMPLE_TYPE = re.compile(r"sample_type = ([A-Z_|]+)")
_EPOCH = re.compile(r"= (\d+\.\d+) \(TOD\)")


@dataclass(frozen=True, slots=True)
class PerfEvent:
    """A recorded event. frequency_hz: as granted, None where `period` is fixed; fields: what its samples carry, in
    perf's words ("IP", "TID", "TIME", "CALLCHAIN", "PERIOD", "CPU", "STACK_USER", ...)."""

    name: str
    frequency_hz: int | None = None
    period: int | None = None
    fields: frozenset[str] = frozenset()
    counts_lost: bool = False
    """Whether perf read from the kernel how many samples were lost, at the end (perf 6.1 and Linux 6.0 on)."""


@dataclass(frozen=True, slots=True)
class PerfHeader:
    """Empty, 0 or None where the file does not tell."""

    hostname: str = ""
    kernel: str = ""
    arch: str = ""
    cpu: str = ""
    cpus: int = 0
    version: str = ""
    argv: tuple[str, ...] = ()
    events: tuple[PerfEvent, ...] = ()
    started_at: datetime | None = None
    first_ns: int = NONE
    last_ns: int = NONE
    build_ids: tuple[tuple[str, str], ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """What the samples of every event carry."""
        every = [event.fields for event in self.events]
        return frozenset.intersection(*every) if every else frozenset()

    def meta(self, samples: SampleTable, *, lost: int | None) -> Meta:
        """All that is known of the run; the duration is that of the samples where they have times."""
        granted = next((e.frequency_hz for e in self.events if e.frequency_hz), None)
        return Meta(
            command=profiled_command(self.argv),
            tool_argv=self.argv,
            tool_version=self.version,
            started_at=self.started_at,
            duration_s=self._duration_s(samples),
            rate_asked_hz=asked_frequency(self.argv) or granted,
            rate_granted_hz=granted,
            lost=lost,
            machine=Machine(hostname=self.hostname, kernel=self.kernel, arch=self.arch, cpu=self.cpu, cpus=self.cpus),
            build_ids=self.build_ids,
        )

    def _duration_s(self, samples: SampleTable) -> float | None:
        times = samples.time_ns[samples.time_ns != NONE]
        if len(times):
            return float(times.max() - times.min()) / 1e9
        return (self.last_ns - self.first_ns) / 1e9 if self.last_ns > self.first_ns >= 0 else None


def from_comments(lines: Iterable[str]) -> PerfHeader:
    """From the lines of `perf script --header` that begin with "#"."""
    said: dict[str, str] = {}
    events: list[PerfEvent] = []
    for line in lines:
        match = _COMMENT.match(line)
        if match is None:
            continue
        if match[1] == "event":
            events.append(_event(match[2]))
        else:
            said.setdefault(match[1], match[2].strip())
    epoch = _EPOCH.search(said.get("reference time", ""))
    return PerfHeader(
        hostname=said.get("hostname", ""),
        kernel=said.get("os release", ""),
        arch=said.get("arch", ""),
        cpu=said.get("cpudesc", ""),
        cpus=int(said["nrcpus online"]) if said.get("nrcpus online", "").isdecimal() else 0,
        version=said.get("perf version", ""),
        argv=tuple(said.get("cmdline", "").split()),  # printed without quotes: a blank in an argument is lost
        events=tuple(events),
        started_at=datetime.fromtimestamp(float(epoch[1]), UTC) if epoch else None,
        first_ns=_time(said.get("time of first sample", "")),
        last_ns=_time(said.get("time of last sample", "")),
    )


def _event(text: str) -> PerfEvent:
    name = _EVENT_NAME.match(text)
    rate = _EVENT_RATE.search(text)
    fields = _SAMPLE_TYPE.search(text)
    is_frequency = "freq = 1" in text
    return PerfEvent(
        name=name[1] if name else "",
        frequency_hz=int(rate[1]) if rate and is_frequency else None,
        period=int(rate[1]) if rate and not is_frequency else None,
        fields=frozenset(fields[1].split("|")) if fields else frozenset(),
        counts_lost="|LOST" in text,
    )


def _time(text: str) -> int:
    return nanoseconds(text) if re.fullmatch(r"\d+\.\d+", text) else NONE


def event_of(name: str, *, has_period: bool) -> Event:
    """The model's event; the clocks of the kernel count nanoseconds."""
    unit = Unit.NANOSECONDS if _CLOCK_EVENT.fullmatch(name) else Unit.EVENTS
    return Event(name, unit if has_period else Unit.SAMPLES, has_period)


def profiled_command(argv: Sequence[str]) -> tuple[str, ...]:
    """The program that `perf record ... PROGRAM ARGS` ran; () where it watched something else."""
    words = _after_record(argv)
    options, rest = _split(words)
    return () if _OTHER_TARGET & {name for name, _ in options} else tuple(rest)


def asked_frequency(argv: Sequence[str]) -> float | None:
    """The frequency given by -F; None where none is given, or "max"."""
    options, _ = _split(_after_record(argv))
    asked = next((value for name, value in reversed(options) if name in ("F", "freq")), "")
    return float(asked) if asked.isdecimal() else None


def _after_record(argv: Sequence[str]) -> Sequence[str]:
    for verb in ("record", "rec"):
        if verb in argv:
            return argv[argv.index(verb) + 1 :]
    return ()


def _split(words: Sequence[str]) -> tuple[list[tuple[str, str]], Sequence[str]]:
    """(options as (name, value), what follows them)."""
    options: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            name, given, value = word[2:].partition("=")
            if not given and name in _LONG_WITH_VALUE and at < len(words):
                value = words[at]
                at += 1
            options.append((name, value))
        elif word.startswith("-") and len(word) > 1:
            for index, letter in enumerate(word[1:], 2):
                if letter not in _SHORT_WITH_VALUE:
                    options.append((letter, word[index:] if letter in "zSI" else ""))
                    if letter in "zSI":
                        break  # their value is optional, and attached
                    continue
                value = word[index:]
                if not value and at < len(words):
                    value = words[at]
                    at += 1
                options.append((letter, value))
                break
        else:
            at -= 1
            break
    return options, words[at:]
