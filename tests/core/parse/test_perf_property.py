"""Random samples, written as perf writes them, come back as they were."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.model import FrameKind, StackProfile
from tailflame.parse.perf_frames import PerfFrame
from tailflame.parse.perf_records import nanoseconds
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perf_script import PerfText

EVENTS = ("cpu-clock", "cycles:uppp", "sched:sched_switch", "cpu/event=0x3c,umask=0x1/", "L1-dcache-load-misses")

printable = st.characters(exclude_categories=("C", "Z"))
blank = st.just(" ")
# The kernel allows anything in 15 bytes; blanks at either end of a name cannot be told from padding.
comms = (
    st.text(st.one_of(printable, blank), min_size=1, max_size=15)
    .map(str.strip)
    .filter(lambda text: text and len(text.encode()) <= 15)
) | st.sampled_from(
    ["worker 12", "a", "semi;colon", "(paren) 9", "a 1 2.500000:", "[000] 1.500000:", "#1 2", "0x1f", ":-1", "12 34"]
)
symbols = (
    st.text(st.one_of(printable, blank), min_size=1, max_size=40)
    .map(str.strip)
    .filter(lambda text: text and not (text.startswith("(") and text.endswith(")")) and "$" not in text)
) | st.sampled_from(
    [
        "operator new(unsigned long)",
        "std::function<int (int)>::operator()(int) const",
        "<[u8; 8] as core::fmt::Debug>::fmt",
        "void f(int (*)(char), std::map<a, b> const&) [clone .cold]",
        "(anonymous namespace)::g()",
        "auto h() -> int",
        "a;b;c",
    ]
)
modules = st.sampled_from(
    ["/usr/lib/libc.so.6", "/opt/my app/bin", "/tmp/a (b)/c", "//anon", "[vdso]", "/x/y(1)", "/memfd:jit"]
)
offsets = st.integers(0, 0xFFFF)


@dataclass(frozen=True)
class Sample:
    comm: str
    pid: int
    tid: int
    cpu: int
    time_ns: int
    period: int
    event: str
    frames: tuple[tuple[int, str, int, str], ...]  # innermost first: (address, symbol, offset, module)


user_frames = st.tuples(st.integers(0, 2**47 - 1), symbols, offsets, modules)
kernel_frames = st.tuples(
    st.integers(0xFFFFFFFF81000000, 0xFFFFFFFFFFFFFFFF - 0xFFFFFF), symbols, offsets, st.just("[kernel.kallsyms]")
)
chains = st.builds(
    lambda kernel, user: (*kernel, *user), st.lists(kernel_frames, max_size=3), st.lists(user_frames, max_size=5)
)
samples = st.builds(
    Sample,
    comm=comms,
    pid=st.integers(-1, 4_194_304),
    tid=st.integers(-1, 4_194_304),
    cpu=st.integers(0, 1023),
    time_ns=st.integers(0, 10**15),
    period=st.integers(0, 2**48),
    event=st.sampled_from(EVENTS),
    frames=chains,
)


@dataclass(frozen=True)
class Shape:
    pid: bool
    cpu: bool
    misc: bool
    period: bool
    nanoseconds: bool
    padded: bool

    def header(self, sample: Sample) -> str:
        """As perf_sample__fprintf_start writes it."""
        text = f"{sample.comm:>16} " if self.padded else f"{sample.comm} "
        text += f"{sample.pid:5d}/{sample.tid:<5d} " if self.pid else f"{sample.tid:5d} "
        text += f"[{sample.cpu:03d}] " if self.cpu else ""
        text += f"{'U':<6} " if self.misc else ""
        second, nano = divmod(sample.time_ns, 10**9)
        text += f"{second:5d}.{nano:09d}: " if self.nanoseconds else f"{second:5d}.{nano // 1000:06d}: "
        text += f"{sample.period:10d} " if self.period else ""
        return text + f"{sample.event:>12}: "

    def record(self, sample: Sample) -> str:
        lines = [self.header(sample)]
        lines += [f"\t{ip:16x} {symbol}+0x{offset:x} ({module})" for ip, symbol, offset, module in sample.frames]
        return "\n".join(lines) + "\n\n"

    def one_line(self, sample: Sample) -> str:
        (ip, symbol, offset, module), *_ = sample.frames
        return f"{self.header(sample)} {ip:16x} {symbol}+0x{offset:x} ({module})\n"


shapes = st.builds(Shape, *[st.booleans()] * 5, padded=st.just(False))


def check(found: PerfSamples, wanted: list[Sample], shape: Shape) -> None:
    profile: StackProfile = found.profile()
    table = profile.samples
    assert len(table) == len(wanted)
    names = profile.frames.names()
    for row, sample in enumerate(wanted):
        thread = profile.threads[table.thread[row]]
        assert (thread.name, thread.tid) == (sample.comm, sample.tid)
        assert thread.pid == (sample.pid if shape.pid else -1)
        assert table.cpu[row] == (sample.cpu if shape.cpu else -1)
        assert table.time_ns[row] == (sample.time_ns if shape.nanoseconds else sample.time_ns // 1000 * 1000)
        assert table.period[row] == (sample.period if shape.period else 1)
        assert profile.events[table.event[row]].name == sample.event
        path = [int(profile.stacks.frame[at]) for at in profile.stacks.path(int(table.stack[row]))]
        assert names[path[0]] == sample.comm
        shown = [(names[frame], profile.frames.module_of(frame), int(profile.frames.kind[frame])) for frame in path[1:]]
        told = [
            (symbol, module, int(FrameKind.KERNEL if module == "[kernel.kallsyms]" else FrameKind.USER))
            for _, symbol, _, module in reversed(sample.frames)
        ]
        assert shown == told


@settings(max_examples=120, deadline=None)
@given(st.lists(samples, min_size=1, max_size=6), shapes, st.integers(1, 200))
def test_samples_with_call_chains(wanted: list[Sample], shape: Shape, piece: int) -> None:
    text = "".join(map(shape.record, wanted)).encode()
    reader = PerfText()
    for at in range(0, len(text), piece):
        reader.feed(text[at : at + piece])
    check(reader.finish(), wanted, shape)
    assert reader.ignored == 0


@settings(max_examples=80, deadline=None)
@given(st.lists(samples.filter(lambda s: s.frames), min_size=1, max_size=6), shapes)
def test_samples_on_one_line_each(wanted: list[Sample], shape: Shape) -> None:
    shape = Shape(shape.pid, shape.cpu, shape.misc, shape.period, shape.nanoseconds, padded=True)
    wanted = [Sample(s.comm, s.pid, s.tid, s.cpu, s.time_ns, s.period, s.event, s.frames[:1]) for s in wanted]
    reader = PerfText()
    reader.feed("".join(map(shape.one_line, wanted)).encode())
    check(reader.finish(), wanted, shape)
    assert reader.ignored == 0


@settings(max_examples=60, deadline=None)
@given(chains)
def test_addresses_and_offsets_are_kept_where_they_are_asked_for(frames: tuple[tuple[int, str, int, str], ...]) -> None:
    sample = Sample("t", 1, 1, 0, 1000, 1, "cycles", frames)
    reader = PerfText(keep_addresses=True)
    reader.feed(Shape(True, True, False, True, True, False).record(sample).encode())
    found = reader.finish()
    path = [found.frames[found.stacks.frame[at]] for at in found.stacks.path(int(found.samples.stack[0]))][1:]
    assert [(f.address, f.name, f.offset, f.module) for f in reversed(path)] == list(frames)
    # The sampled instruction, and the one at which user code was interrupted, are exact; the others are returned to.
    exact = [f.exact for f in reversed(path)]
    entered = next((i for i, f in enumerate(reversed(path)) if f.kind is FrameKind.USER), None)
    assert exact == [i == 0 or (i == entered and path[-1].kind is FrameKind.KERNEL) for i in range(len(exact))]


@given(st.integers(0, 10**18), st.integers(3, 9))
def test_times(time: int, digits: int) -> None:
    second, nano = divmod(time, 10**9)
    text = f"{second}.{nano:09d}"[: -(9 - digits) or None]
    assert nanoseconds(text) == time // 10 ** (9 - digits) * 10 ** (9 - digits)


@given(st.text(max_size=200))
def test_any_text_is_read_without_failing(text: str) -> None:
    reader = PerfText()
    reader.feed(text.encode(errors="replace"))
    found = reader.finish()
    assert len(found.samples) == len(reader)
    assert all(isinstance(frame, PerfFrame) for frame in found.frames)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_failing(data: bytes) -> None:
    reader = PerfText()
    reader.feed(b"t 7/7 1.500000: cycles: \n\t 12 f+0x1 (/x)\n\n" + data)
    assert len(reader.finish().samples) >= 1
