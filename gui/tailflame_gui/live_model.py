"""What the live page asks for, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailflame.host.running import RunningProcess


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function that can be chosen. `symbol` tells functions of one name apart."""

    name: str
    symbol: str
    size: int
    """Bytes of code."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of the chosen functions: `refusal` keeps the probe from starting, `cautions` do not."""

    refusal: str = ""
    advice: str = ""
    may_accept: bool = False
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlicesDraft:
    """How a continuous profile is recorded; texts are as they were typed, these are the ones that are offered."""

    slice_s: str = "60"
    frequency: str = "99"
    cpu_percent: str = "1"
    disk: str = "1G"
    dwarf: bool = False
    """Stacks by copies of them; else by frame pointers."""


@dataclass(frozen=True, slots=True)
class SourcesDraft:
    """Which sources are wanted, as the form has them; texts are as they were typed."""

    functions: tuple[FunctionRow, ...] = ()
    accepted_unwinding: bool = False
    cost_limit_percent: float | None = 10.0
    """None: no limit."""
    slow_above: str = ""
    """Calls above this are kept one by one, with a CPU recording: "100us", "p99.9"; "" for none."""
    capture_when: str = ""
    """A rule; when it is crossed, the last seconds are kept. "" for none."""
    own_lines: bool = True
    """The lines of a launched program."""
    log: str = ""
    hlog: str = ""
    url: str = ""
    server: str = ""
    query: str = ""
    counters: bool = True
    simulated: bool = False
    process: bool = True
    cpu: bool = False
    slices: SlicesDraft | None = None
    """A continuous profile."""
    syscalls: bool = False


@dataclass(frozen=True, slots=True)
class LiveDraft:
    """A live run as the form has it. Either `process` to attach to, or `binary` to launch."""

    launch: bool = False
    process: RunningProcess | None = None
    binary: str = ""
    arguments: str = ""
    directory: str = ""
    sources: SourcesDraft = field(default_factory=SourcesDraft)

    @property
    def name(self) -> str:
        """Of the program; "" where none is chosen yet."""
        if self.launch:
            return self.binary.rsplit("/", 1)[-1]
        return self.process.name if self.process is not None else ""

    @property
    def subject(self) -> str:
        """What is meant, for a button: "order-book (8812)"; "" where nothing is chosen yet."""
        if self.launch or self.process is None:
            return self.name
        return f"{self.process.name} ({self.process.pid})"
