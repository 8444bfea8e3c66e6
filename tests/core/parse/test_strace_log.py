"""strace's logs: calls and errors of strace's own table, every second form of a line, and files that are not whole."""

from __future__ import annotations

import gzip
import math
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.errors import Cancelled, ParseError
from tailflame.model import Recording, Weight
from tailflame.model.syscalls import SyscallTrace
from tailflame.parse import load, strace_columns, strace_reader
from tailflame.parse.formats import FORMATS
from tailflame.parse.strace_columns import Layout
from tailflame.parse.strace_log import STRACE_LOG

STRACE = DATA / "strace" / "6.1"
WITH_TABLE = ("trading.log.gz", "filtered.log.gz", "edge.log.gz", "injected.log.gz", "modes.log.gz")
LOGS = (*WITH_TABLE, "stacks.log.gz", "attach.log", "names.log.gz", "relative.log.gz", "clock.log.gz", "stderr.log.gz")
T = "1795654968.142848"


def trace_of(recording: Recording) -> SyscallTrace:
    assert recording.syscalls is not None
    return recording.syscalls


def read(tmp_path: Path, text: str | bytes, name: str = "strace.log") -> Recording:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def plainly(tmp_path: Path, text: bytes) -> Recording:
    """Without asking all formats first."""
    path = tmp_path / "strace.log"
    path.write_bytes(text)
    return STRACE_LOG.load(strace_reader.Source(path))


_LAYOUT_OF = strace_reader.layout_of


def one_by_one(block: bytes) -> Layout:
    """As if no line were of a usual form."""
    return Layout(timed=0, begin_ns=_LAYOUT_OF(block).begin_ns)


def calls(trace: SyscallTrace) -> dict[str, tuple[int, int]]:
    """Calls and errors by name, of calls that came back."""
    back = trace.returned > 0
    number = np.bincount(trace.call[back], minlength=len(trace.names)).tolist()
    errors = np.bincount(trace.call[back & (trace.error >= 0)], minlength=len(trace.names)).tolist()
    return {n: (c, e) for n, c, e in zip(trace.names, number, errors, strict=True) if c}


Row = tuple[str, float, float, int, str, int, str, int]


def rows(trace: SyscallTrace) -> list[Row]:
    """(name, start, duration, thread, error, descriptor, place, returned) of each call, NaN as -1."""
    return [
        (
            trace.names[trace.call[at]],
            round(float(np.nan_to_num(trace.start_s[at] + trace.epoch_ns / 1e9, nan=-1.0)), 6),
            round(float(np.nan_to_num(trace.duration_s[at], nan=-1.0)), 9),
            trace.threads[trace.thread[at]].tid if trace.thread[at] >= 0 else -1,
            trace.errnos[trace.error[at]] if trace.error[at] >= 0 else "",
            int(trace.fd[at]),
            trace.places[trace.place[at]] if trace.place[at] >= 0 else "",
            int(trace.returned[at]),
        )
        for at in range(len(trace))
    ]


def one(tmp_path: Path, *lines: str) -> Row:
    (row,) = rows(trace_of(read(tmp_path, "".join(f"{line}\n" for line in lines))))
    return row


# Held to strace's own figures


@pytest.mark.parametrize("name", WITH_TABLE)
def test_calls_and_errors_are_those_of_the_table_of_the_same_run(name: str) -> None:
    trace = trace_of(load(STRACE / name))
    theirs: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for sums in trace.sums:
        theirs.update(dict(zip(sums.names, sums.calls.tolist(), strict=True)))
        errors.update(dict(zip(sums.names, sums.errors.tolist(), strict=True)))
    ours = calls(trace)
    ours.pop("syscall_0x270f", None)  # strace leaves calls that it does not know out of its table
    assert ours == {call: (number, errors[call]) for call, number in theirs.items()}


def test_times_are_those_of_the_table_of_the_same_run() -> None:
    trace = trace_of(load(STRACE / "trading.log.gz"))
    (sums,) = trace.sums
    assert float(np.nansum(trace.duration_s)) == pytest.approx(float(sums.seconds.sum()), rel=0.004)


def test_the_profile_holds_the_same_calls_and_times() -> None:
    recording = load(STRACE / "trading.log.gz")
    trace, profile = trace_of(recording), recording.profile
    assert profile is not None
    time, errors = profile.events
    assert (time.name, time.exact, errors.name, errors.exact) == ("System call time", True, "Errors", True)
    assert profile.total() == int(trace.returned.sum())
    assert profile.total(weight=Weight.PERIOD) == pytest.approx(float(np.nansum(trace.duration_s)) * 1e9, rel=1e-9)
    assert profile.total(event=1) == int((trace.error >= 0).sum())
    assert np.all(np.diff(profile.samples.time_ns[profile.samples.event == 0]) >= -2_000_000)


def test_the_journal_writes_are_a_stack_of_their_own() -> None:
    profile = load(STRACE / "trading.log.gz").profile
    assert profile is not None
    found: Counter[str] = Counter()
    for stack in profile.samples.stack[profile.samples.event == 0].tolist():
        names = [profile.frames.name_of(int(profile.stacks.frame[at])) for at in profile.stacks.path(stack)]
        found[";".join(names)] += 1
    assert found["engine-0;write;/srv/journal.jsonl"] + found["engine-1;write;/srv/journal.jsonl"] == 797
    assert not any("futex 0x" in stack for stack in found), "addresses differ from run to run"


def test_stacks_of_k_stand_below_their_calls() -> None:
    profile = load(STRACE / "stacks.log.gz").profile
    assert profile is not None
    stack = int(profile.samples.stack[len(profile.samples) - 1])
    names = [profile.frames.name_of(int(profile.stacks.frame[at])) for at in profile.stacks.path(stack)]
    assert names[0] == "process" and names[-1] == "write" and "__write" in names
    assert "trading_system::main" in names or any("start_thread" in name for name in names)


def test_the_run_is_told() -> None:
    meta = load(STRACE / "trading.log.gz").meta
    assert meta.command[:3] == ("./demo", "--log", "/srv/journal.jsonl")
    assert meta.outcome == "The program exited with 0." and meta.started_at is not None
    assert meta.duration_s == pytest.approx(1.3, abs=0.2)


def test_a_program_whose_words_strace_cut_is_named_by_its_path(tmp_path: Path) -> None:
    program = "/opt/trading/releases/2026-11/bin/engine"
    log = (
        f'7 1.000000 execve("{program}", ["{program[:32]}"..., "--log", "/srv/journals/of/all/the/engines"...],'
        " 0x7ffe /* 3 vars */) = 0 <0.000100>\n7 1.000200 +++ exited with 0 +++\n"
    )
    assert read(tmp_path, log).meta.command == (program, "--log", "/srv/journals/of/all/the/engines…")


def test_the_escapes_of_a_command_are_undone(tmp_path: Path) -> None:
    log = (
        r'7 1.000000 execve("/opt/[a]/m\303\274nze", ["m\303\274nze", "say \"a\tb\"", "\\"], 0x7ffe /* 3 vars */)'
        " = 0 <0.000100>\n7 1.000200 +++ exited with 0 +++\n"
    )
    assert read(tmp_path, log).meta.command == ("münze", 'say "a\tb"', "\\")


def test_names_are_the_same_however_strace_escapes_them(tmp_path: Path) -> None:
    path = '/srv/münze/[a] "b".log'
    octal = r"/srv/m\303\274nze/[a] \"b\".log"
    some = r"/srv/m\xc3\xbcnze/[a] \"b\".log"
    program, every = ("".join(f"\\x{b:02x}" for b in name.encode()) for name in ("../bin/matching-engine-2", path))
    log = (
        rf'7 1.000000 execve("{program}", ["{program}", "\x2d\x76", "m\303\274"], ["\x41\x3d\x5d", "B=]"]) = 0 <0.0001>'
        + "".join(
            f'\n7 1.{at:06d} openat(AT_FDCWD, "{name}", O_RDONLY) = -1 ENOENT (No such file) <0.000010>'
            for at, name in enumerate((octal, every, some), 1)
        )
        + f"\n7 1.000010 read(3<{every}>, 0x7f, 10) = 0 <0.000010>"
        f"\n7 1.000020 read(3<{octal}>,  <unfinished ...>\n7 1.000030 <... read resumed>0x7f, 10) = 0 <0.000010>\n"
    )
    recording = read(tmp_path, log)
    trace = recording.syscalls
    assert trace is not None
    assert [trace.places[at] for at in trace.place.tolist()] == ["../bin/matching-engine-2", *[path] * 5]
    assert len(set(trace.places)) == len(trace.places)
    assert recording.meta.command == ("../bin/matching-engine-2", "-v", "mü")
    assert trace.threads[0].name == "matching-engine"


def test_a_name_may_not_steer_a_terminal(tmp_path: Path) -> None:
    log = (
        r'7<a\x1b[2J> 1.000000 openat(AT_FDCWD, "/tmp/\33[2J\na\x9b\xff\\x41", O_RDONLY) = 3 <0.000010>'
        "\n7<a\\x1b[2J> 1.000100 close(3) = 0 <0.000010>\n"
    )
    trace = read(tmp_path, log).syscalls
    assert trace is not None
    assert trace.places == (r"/tmp/\x1b[2J\na\x9b\xff\x41",)
    assert trace.threads[0].name == r"a\x1b[2J"


@pytest.mark.parametrize("calls", [1, 5, 60, 160])
def test_a_log_that_is_shorter_than_its_table_is_a_log(tmp_path: Path, calls: int) -> None:
    lines = [f'7 1.{n:06d} read(3, "x", 1) = 1 <0.000010>\n' for n in range(calls)]
    table = "% time     seconds  usecs/call     calls    errors syscall\n"
    table += "------ ----------- ----------- --------- --------- ----------------\n"
    table += f"100.00    0.000{calls:03d}          10 {calls:9d}           read\n"
    table += "".join(f"  0.00    0.000000           0         0           fcntl{n}\n" for n in range(30))
    table += "------ ----------- ----------- --------- --------- ----------------\n"
    table += f"100.00    0.000{calls:03d}          10 {calls:9d}           total\n"
    found = read(tmp_path, "".join(lines) + table, "unknown")
    assert found.format == "strace-log" and len(trace_of(found)) == calls


# One reading of every line: the fast one and the exact one say the same


@pytest.mark.parametrize("name", LOGS)
def test_blocks_are_read_as_lines_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = load(STRACE / name)
    monkeypatch.setattr(strace_reader, "layout_of", one_by_one)
    slow = load(STRACE / name)
    assert rows(trace_of(fast)) == rows(trace_of(slow))
    assert trace_of(fast).slow_text == trace_of(slow).slow_text


@pytest.mark.parametrize("name", ["trading.log.gz", "edge.log.gz", "stacks.log.gz"])
def test_it_does_not_matter_where_blocks_end(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = load(STRACE / name)
    (tmp_path / "log").write_bytes(gzip.decompress((STRACE / name).read_bytes()))
    monkeypatch.setattr(strace_reader, "BLOCK", 5000)
    pieces = load(tmp_path / "log")
    again = trace_of(load(tmp_path / "log"))
    assert (again.names, again.places) == (trace_of(pieces).names, trace_of(pieces).places), "the same every time"
    assert rows(trace_of(whole)) == rows(trace_of(pieces))
    assert trace_of(whole).slow_text == trace_of(pieces).slow_text
    assert whole.profile is not None and pieces.profile is not None
    assert whole.profile.total(weight=Weight.PERIOD) == pieces.profile.total(weight=Weight.PERIOD)


def test_a_log_that_is_not_read_to_its_end_leaves_no_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.decompress((STRACE / "trading.log.gz").read_bytes()))
    monkeypatch.setattr(strace_reader, "BLOCK", 5000)
    threads = set(threading.enumerate())

    def stop(share: float) -> None:
        if share > 0.5:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        load(tmp_path / "log", format="strace-log", progress=stop)
    assert set(threading.enumerate()) <= threads
    monkeypatch.setattr(strace_reader, "ROWS_LIMIT", 100)
    with pytest.raises(ParseError, match="more than 100 system calls"):
        load(tmp_path / "log", format="strace-log")
    assert set(threading.enumerate()) <= threads


WORDS = st.sampled_from(
    ["read", "write", "openat", "futex", "close", "_x", "exit_group", "poll", "socket", "clone3", "kill", "syscall_0x1"]
)
VALUES = st.sampled_from(
    [
        "0",
        "-1 EAGAIN (Resource temporarily unavailable)",
        "3</tmp/a b>",
        "5<TCP:[127.0.0.1:1->127.0.0.1:2]>",
        "0x7f00",
        "?",
        "? ERESTARTSYS (To be restarted if SA_RESTART is set)",
        "1 (in [3])",
        "1 ([{fd=3, revents=POLLIN}])",
        "-1 ENOSYS (Function not implemented) (INJECTED)",
        "-22",
        "0x2 (flags O_RDWR)",
        "3<x> (odd)",
        "-1 E",
        "7abc",
        "",
    ]
)
ARGUMENTS = st.lists(
    st.sampled_from(
        [
            "3",
            "3</a>",
            "1</dev/pts/0<char 136:0>>",
            "0x7f1",
            '"a"',
            '") = 3 <0.1>"',
            '"a < b = 5"',
            '"\\""',
            "NULL",
            "[{fd=3</x = 5 (y)>}]",
            "{a=1, b = 2}",
            '4<UNIX-STREAM:[1->2,"/run/x>"]>',
            "-1",
            "AT_FDCWD</tmp>",
            "12345678",
            "f(x)",
            ")",
            "(",
        ]
    ),
    max_size=4,
).map(", ".join)
ENDS = st.sampled_from([" <0.000012>", "", " <12.345678>", " <0.1>", " <unfinished ...>", " <detached ...>"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["4711  ", "471100 ", "12 "]), WORDS, ARGUMENTS, VALUES, ENDS, st.booleans()),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_line_is_read_the_same_in_both_ways(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str, str, str, bool]]
) -> None:
    text = f"4711  {T} close(3) = 0 <0.000001>\n4711  {T} write(1, NULL) = 1 <0.000002>\n"
    for pid, name, arguments, value, end, resumed in lines:
        head = f"<... {name} resumed>" if resumed else f"{name}("
        close = "" if end.endswith("...>") else f") = {value}"
        text += f"{pid}{T} {head}{arguments}{close}{end}\n"
    path = tmp_path_factory.mktemp("log") / "strace.log"
    path.write_text(text)
    fast = STRACE_LOG.load(strace_reader.Source(path))
    layout_of = strace_reader.layout_of
    try:
        strace_reader.layout_of = one_by_one
        slow = STRACE_LOG.load(strace_reader.Source(path))
    finally:
        strace_reader.layout_of = layout_of
    assert rows(trace_of(fast)) == rows(trace_of(slow))


# Forms of lines


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (f'7 {T} write(1, ") = 3 <0.1>", 11) = 11 <0.000009>', ("write", 9e-6, "", 1, "", 1)),
        (
            f'7 {T} write(1, "\\") = -1 EIO (x)", 9) = -1 EAGAIN (Resource) <0.000009>',
            ("write", 9e-6, "EAGAIN", 1, "", 1),
        ),
        (
            f"7 {T} pause() = ? ERESTARTNOHAND (To be restarted) <0.020024>",
            ("pause", 0.020024, "ERESTARTNOHAND", -1, "", 1),
        ),
        (
            f"7 {T} nanosleep(0x1) = ? ERESTART_RESTARTBLOCK (Interrupted by signal) <0.5>",
            ("nanosleep", 0.5, "ERESTART_RESTARTBLOCK", -1, "", 1),
        ),
        (
            f"7 {T} restart_syscall(<... resuming interrupted read ...>) = 0 <0.02>",
            ("restart_syscall", 0.02, "", -1, "", 1),
        ),
        (f"7 {T} exit_group(0)   = ?", ("exit_group", -1.0, "", -1, "", 0)),
        (
            f"7 {T} syscall_0x270f(0x1, 0x2) = -1 ENOSYS (Function not implemented) <0.000013>",
            ("syscall_0x270f", 1.3e-5, "ENOSYS", -1, "", 1),
        ),
        (
            f"7 {T} close(3) = -1 EBADF (Bad file descriptor) (INJECTED) <0.000052>",
            ("close", 5.2e-5, "EBADF", 3, "", 1),
        ),
        (f"7 {T} write(1</dev/pts/0<char 136:0>>, 0, 1) = 1 <0.1>", ("write", 0.1, "", 1, "/dev/pts/0", 1)),
        (
            f"7 {T} recvfrom(7<TCP:[1.2.3.4:5->6.7.8.9:10]>, 0) = 5 <0.1>",
            ("recvfrom", 0.1, "", 7, "TCP:[1.2.3.4:5->6.7.8.9:10]", 1),
        ),
        (f'7 {T} openat(AT_FDCWD</x>, "/a/b", O_RDONLY) = 3</c/b> <0.1>', ("openat", 0.1, "", 3, "/c/b", 1)),
        (
            f'7 {T} openat(AT_FDCWD</x>, "/a/b", 0) = -1 ENOENT (No such file) <0.1>',
            ("openat", 0.1, "ENOENT", -1, "/a/b", 1),
        ),
        (f"7 {T} futex(0x7f1c, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <0.1>", ("futex", 0.1, "", -1, "futex 0x7f1c", 1)),
        (f"7 {T} gettid() = 23328<engine-0> <0.1>", ("gettid", 0.1, "", -1, "", 1)),
        (f"7 {T} read(0, strace: Process 7 detached", None),
        (f"1 x {T} getuid() = 0 <0.1>", None),
        (f"7 {T} send(6, 0) = - <0.000030>", None),
        (f"7 {T} read(0,  <detached ...>", ("read", -1.0, "", 0, "", 0)),
        (f"7 {T} read(0,  <pid changed to 8 ...>", ("read", -1.0, "", 0, "", 0)),
        (
            "7<obook> 00:50:47.613290 (+     0.000020) [   9] [00007f96169539b3] mmap(NULL, 1) = 0x7f96 <0.000014>",
            ("mmap", 1.4e-5, "", -1, "", 1),
        ),
        (f"[pid     7] {T} close(3)                = 0 <0.000014>", ("close", 1.4e-5, "", 3, "", 1)),
        (f'7 {T} getrandom("\\x6b", 8, 0) = 8 <0.000009638>', ("getrandom", 9.638e-6, "", -1, "", 1)),
    ],
)
def test_a_line(tmp_path: Path, line: str, row: tuple[str, float, str, int, str, int] | None) -> None:
    filler = f"7 {T} getpid() = 7 <0.5>"
    found = [r for r in rows(trace_of(read(tmp_path, f"{filler}\n{line}\n"))) if r[0] != "getpid"]
    if row is None:
        assert found == []
        return
    (name, _start, duration, tid, error, fd, place, back) = found[0]
    assert (name, duration, error, fd, place, back) == row
    assert tid == 7


def test_two_lines_of_one_call(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        f"7 {T} read(3<pipe:[9]>,  <unfinished ...>",
        '7 1795654968.200000 <... read resumed>"x", 1) = 1 <0.057152>',
    )
    assert row == ("read", float(T), 0.057152, 7, "", 3, "pipe:[9]", 1)


def test_their_arguments_are_put_together(tmp_path: Path) -> None:
    text = f'7 {T} read(3,  <unfinished ...>\n7 {T} <... read resumed>"x", 1) = 1 <0.1>\n'
    assert trace_of(read(tmp_path, text)).slow_text == ('3, "x", 1',)


def test_a_killed_call_never_came_back(tmp_path: Path) -> None:
    row = one(tmp_path, f"7 {T} read(3,  <unfinished ...>", f"7 {T} <... read resumed> <unfinished ...>) = ?")
    assert row[2] == -1.0 and row[-1] == 0


def test_an_execve_of_another_thread_goes_on_in_the_leader(tmp_path: Path) -> None:
    text = (
        f"7 {T} read(3,  <unfinished ...>\n"
        f'9 {T} execve("/bin/true", ["true"], 0x7 /* 3 vars */ <unfinished ...>\n'
        f"7 {T} <... read resumed> <unfinished ...>) = ?\n"
        f"7 {T} +++ superseded by execve in pid 9 +++\n"
        f"7 {T} <... execve resumed>) = 0 <0.000370>\n"
    )
    trace = trace_of(read(tmp_path, text))
    assert calls(trace) == {"execve": (1, 0)}
    assert [row[2:4] for row in rows(trace) if row[0] == "execve"] == [(0.00037, 9)]
    assert trace.events[0][2] == "superseded by execve in pid 9"


def test_a_call_that_began_before_the_log(tmp_path: Path) -> None:
    row = one(tmp_path, '7 100000000.500000 <... read resumed>"x", 1) = 1 <0.250000>')
    assert row[:4] == ("read", 100000000.25, 0.25, 7)


@pytest.mark.parametrize("form", ["{stamp} getpid() = 7 <0.000001>", "[pid     7] {stamp} getpid() = 7 <0.000001>"])
@pytest.mark.parametrize("digits", [6, 9])
def test_not_a_nanosecond_of_the_time_is_lost(form: str, digits: int, tmp_path: Path) -> None:
    step = 10 ** (9 - digits)
    stamps = [1795654968_999999000 + n * step * 123457 for n in (0, 1, 2, 5, 99)]
    lines = [form.format(stamp=f"{ns // 10**9}.{ns % 10**9:09d}"[: 11 + digits]) for ns in stamps]
    recording = read(tmp_path, "\n".join((*lines, f"{lines[-1].partition('getpid')[0]}+++ exited with 0 +++\n")))
    trace = trace_of(recording)
    assert trace.start_s.tolist() == [(ns - stamps[0]) / 1e9 for ns in stamps]
    assert trace.events[0][0] == (stamps[-1] - stamps[0]) / 1e9
    assert trace.epoch_ns == stamps[0]
    assert recording.profile is not None
    assert recording.profile.samples.time_ns.tolist() == stamps
    assert recording.meta.started_at == datetime.fromtimestamp(stamps[0] / 1e9, UTC)


def test_another_word_size_makes_other_calls(tmp_path: Path) -> None:
    text = (
        f"7 {T} getppid() = 1 <0.1>\n7 {T} [ Process PID=7 runs in 32 bit mode. ]\n7 {T} getppid() = 1 <0.1>\n"
        f"8 {T} getppid() = 1 <0.1>\n[ Process PID=7 runs in 64 bit mode. ]\n7 {T} getppid() = 1 <0.1>\n"
    )
    assert calls(trace_of(read(tmp_path, text))) == {"getppid": (3, 0), "getppid (32 bit)": (1, 0)}


def test_stracess_words_within_a_line(tmp_path: Path) -> None:
    text = (
        "getpid()                = 7\n"
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLDstrace: Process 9 attached\n"
        ", child_tidptr=0x7f27) = 9\n[pid     9] close(3)  = 0\n"
    )
    recording = read(tmp_path, text)
    assert calls(trace_of(recording)) == {"getpid": (1, 0), "clone": (1, 0), "close": (1, 0)}
    assert not any("left out" in caution.text for caution in recording.warnings)


def test_two_logs_in_one(tmp_path: Path) -> None:
    """A table in the middle is passed over, and what follows it is read."""
    text = gzip.decompress((STRACE / "edge.log.gz").read_bytes())
    trace = trace_of(load(STRACE / "edge.log.gz"))
    twice = read(tmp_path, text + text)
    assert calls(trace_of(twice)) == {name: (2 * n, 2 * errors) for name, (n, errors) in calls(trace).items()}
    assert len(trace_of(twice).sums) == 2 and not twice.warnings
    cut = text[: text.index(b"------ -")] + text
    assert sum(n for n, _errors in calls(trace_of(read(tmp_path, cut))).values()) == 2 * int(trace.returned.sum())


def test_a_log_that_lacks_calls_of_its_own_table_says_so(tmp_path: Path) -> None:
    text = gzip.decompress((STRACE / "edge.log.gz").read_bytes())
    lines = text.split(b"\n")
    recording = read(tmp_path, b"\n".join([*lines[:20], *lines[25:]]))
    assert [c.text for c in recording.warnings] == ["strace's own table counts 226 calls, the log holds 221."]


def test_threads_and_processes() -> None:
    names = trace_of(load(STRACE / "names.log.gz"))
    assert {thread.name for thread in names.threads} == {"edge", "true"}
    trading = trace_of(load(STRACE / "trading.log.gz"))
    assert {thread.name for thread in trading.threads} >= {"engine-0", "engine-1"}
    assert len({thread.pid for thread in trading.threads}) == 1


def test_a_clock_that_passes_midnight(tmp_path: Path) -> None:
    text = "7 23:59:59.900000 getpid() = 7 <0.1>\n7 00:00:00.100000 getpid() = 7 <0.1>\n"
    start = trace_of(read(tmp_path, text)).start_s
    assert start[1] - start[0] == pytest.approx(0.2)


def test_times_between_lines_add_up() -> None:
    start = trace_of(load(STRACE / "relative.log.gz")).start_s
    assert np.all(np.diff(start) >= 0) and 0.15 < start[-1] < 0.6


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    told = " ".join(c.text for c in read(tmp_path, "7 getpid() = 7\n7 close(3) = 0\n").warnings)
    assert "timed no call" in told and "no times" in told


# The text that is kept


def test_only_the_slowest_and_the_first_errors_keep_their_text(tmp_path: Path) -> None:
    lines = [f"7 {T} write(1, {at}) = 1 <0.{at:06d}>" for at in range(500)]
    lines += [f"7 {T} read(1, {at}) = -1 EAGAIN (x) <0.000001>" for at in range(500)]
    trace = trace_of(read(tmp_path, "\n".join(lines) + "\n"))
    kept = dict(zip(trace.slow.tolist(), trace.slow_text, strict=True))
    assert {kept[at] for at in kept if at < 500} == {f"1, {at}" for at in range(400, 500)}
    assert all(f"1, {at}" == kept[500 + at] for at in range(20))
    assert list(kept) == sorted(kept)


# Bounds


def test_very_many_files_are_shown_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(strace_columns, "PLACES_LIMIT", 5)
    recording = read(tmp_path, "".join(f"7 {T} close(3</tmp/{at}>) = 0 <0.000001>\n" for at in range(50)))
    trace = trace_of(recording)
    assert len(trace.places) == 6 and trace.places[-1] == "(other places)"
    assert int((trace.place == 5).sum()) == 45
    assert [c.text for c in recording.warnings] == ["More than 5 different files: the later ones are shown as one."]


def test_too_many_calls_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(strace_reader, "ROWS_LIMIT", 10)
    path = tmp_path / "strace.log"
    path.write_text(f"7 {T} getpid() = 7 <0.5>\n" * 20)
    with pytest.raises(ParseError, match="holds more than 10 system calls") as told:
        load(path)
    assert "-e trace=" in told.value.advice


# One way in


@pytest.mark.parametrize("name", LOGS)
def test_the_content_tells(name: str, tmp_path: Path) -> None:
    recording = load(STRACE / name)
    assert recording.format == "strace-log" and recording.tool == "strace"
    unknown = tmp_path / "unknown"
    unknown.write_bytes((STRACE / name).read_bytes())
    again = load(unknown)
    assert (
        same(again.profile, recording.profile) and again.warnings == recording.warnings and again.meta == recording.meta
    )
    assert same(replace(trace_of(again), events=()), replace(trace_of(recording), events=()))
    assert [event[1:] for event in trace_of(again).events] == [event[1:] for event in trace_of(recording).events]


def test_others_are_not_taken_for_it() -> None:
    for path in sorted(DATA.rglob("*")):
        if path.is_file() and "strace" not in path.parts and path.stat().st_size:
            source = strace_reader.Source
            try:
                head = source(path).head
            except ParseError:
                continue
            assert STRACE_LOG.sniff(head, path.name) < 0, path


def test_a_log_is_none_of_the_others() -> None:
    source = strace_reader.Source(STRACE / "edge.log.gz")
    scores = {f.name: f.sniff(source.head, "unknown") for f in FORMATS}
    assert max(scores, key=lambda name: scores[name]) == "strace-log"


# Files that are not whole


def test_cut_at_every_line_and_within_lines(tmp_path: Path) -> None:
    whole = gzip.decompress((STRACE / "edge.log.gz").read_bytes())
    lines = whole.split(b"\n")[:120]
    before = 0
    for number in range(1, len(lines)):
        trace = trace_of(plainly(tmp_path, b"\n".join(lines[:number]) + b"\n"))
        assert len(trace) >= before
        before = len(trace)
    text = b"\n".join(lines[:20]) + b"\n"
    for end in range(len(text) - 150, len(text)):
        recording = plainly(tmp_path, text[:end])
        assert len(trace_of(recording)) >= 17


def test_a_line_that_is_cut_short_is_said(tmp_path: Path) -> None:
    recording = read(tmp_path, f"7 {T} getpid() = 7 <0.5>\n7 {T} writ")
    assert [c.text for c in recording.warnings] == [f"The last line is cut short and left out (line 2: '7 {T} writ')."]


@pytest.mark.parametrize(
    "line",
    [
        f"7 {T} getpid() = 99999999999999999999999 <0.5>",
        f"99999999999999999999 {T} getpid() = 7 <0.5>",
        f"7 {T} getpid() = 7 <99999999999999999999.5>",
        f"7 {T} getpid() = 7 <-0.5>",
        f"-7 {T} getpid() = 7 <0.5>",
        f"7 {T} read(99999999999999999999, 0) = 1 <0.5>",
        f"7 {T} read(-2147483649, 0) = 1 <0.5>",
        "7 99999999999999999.1 getpid() = 7 <0.5>",
        f"7 {T} +++ superseded by execve in pid 99999999999 +++",
        f"7 {T} <... never resumed>",
        "\x00\x01\x02 (((((( ))) = <<<>>>",
        f"7 {T} " + "f(" * 5000,
        f'7 {T} write(1, "' + "\\" * 20_000,
        "1" * 5000,
        " > ",
    ],
)
def test_hostile_lines_do_no_harm(tmp_path: Path, line: str) -> None:
    for text in (f"7 {T} getpid() = 7 <0.5>\n{line}\n", f"{line}\n" * 3):
        try:
            trace = trace_of(read(tmp_path, text))
        except ParseError as error:
            assert error.sentence.endswith(".")
            continue
        assert np.all(trace.fd >= -1) and np.all(np.isnan(trace.duration_s) | (trace.duration_s >= 0))


def test_crlf_reads_the_same(tmp_path: Path) -> None:
    text = gzip.decompress((STRACE / "edge.log.gz").read_bytes())
    plain = read(tmp_path, text, "a")
    dos = read(tmp_path, text.replace(b"\n", b"\r\n"), "b")
    assert rows(trace_of(plain)) == rows(trace_of(dos))


def test_no_call_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("hello\nworld\n")
    with pytest.raises(ParseError, match=r"holds no system call of strace: line 1 is none: 'hello'\.") as told:
        load(path, format="strace-log")
    assert told.value.advice


@given(st.binary(max_size=400))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("log") / "strace.log"
    path.write_bytes(f"7 {T} getpid() = 7 <0.5>\n7 {T} write(1, ".encode() + data + b"\n")
    trace = trace_of(load(path, format="strace-log"))
    assert not math.isnan(trace.start_s[0])
