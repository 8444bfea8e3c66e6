"""The line that begins a sample, in each shape that -F gives it, with the thread names that break other readers."""

# ruff: noqa: E501 (perf's lines are as long as they are)

from __future__ import annotations

import pytest

from tailflame.parse.perf_records import Header, Mapping, RecordLines, header_of


def read(line: str, *, frames_follow: bool = True) -> Header:
    header = header_of(line, frames_follow=frames_follow)
    assert header is not None
    return header


@pytest.mark.parametrize(
    "comm",
    [
        *("t", "worker 12", "a", "(paren) 9", "semi;colon", "[cpu] 3.5:", "0x1f", "kworker/0:1-ev", "V8 WorkerThread"),
        *("12 34 56", "a 1 2.500000:", ":-1", ":12345", "x: y: 3", "λ thread", "1.500000: x", "[000]", "U", "-1/-1"),
    ],
)
def test_the_thread_name_ends_where_the_ids_begin(comm: str) -> None:
    for prefix in (f"{comm} ", f"{comm:>16} "):
        header = read(f"{prefix}  77/78    [001] 1006.298100:    1003009 cpu-clock: ")
        assert header[:7] == (comm, 77, 78, 1, 1_006_298_100_000, 1003009, "cpu-clock")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("t  7942  1006.298100:    1003009 cpu-clock: ", Header("t", -1, 7942, -1, 1006298100000, 1003009, "cpu-clock")),
        ("t  7942  1006.298100: cpu-clock: ", Header("t", -1, 7942, -1, 1006298100000, None, "cpu-clock")),
        ("t 16466/16466 [000] U      1523.119726:    1003009 cpu-clock: ", Header("t", 16466, 16466, 0, 1523119726000, 1003009, "cpu-clock")),
        ("t  7942/7942   1006.298100611:    1003009 cycles:uppp: ", Header("t", 7942, 7942, -1, 1006298100611, 1003009, "cycles:uppp")),
        ("t  7942     0.000000:          1 cpu/event=0x3c,umask=1/: ", Header("t", -1, 7942, -1, 0, 1, "cpu/event=0x3c,umask=1/")),
        (":-1    -1/-1    [000]     1.000000: cycles: ", Header(":-1", -1, -1, 0, 10**9, None, "cycles")),
        ("t  7942  1006.298100: ", Header("t", -1, 7942, -1, 1006298100000)),
        ("t  7942    1003009 cpu-clock: ", Header("t", -1, 7942, -1, -1, 1003009, "cpu-clock")),
        ("t  7942 cpu-clock: ", Header("t", -1, 7942, -1, -1, None, "cpu-clock")),
        ("t [000] cpu-clock: ", Header("t", -1, -1, 0, -1, None, "cpu-clock")),
        ("t  1006.298100: cpu-clock: ", Header("t", -1, -1, -1, 1006298100000, None, "cpu-clock")),
        (" 1006.298100: cpu-clock: ", Header("", -1, -1, -1, 1006298100000, None, "cpu-clock")),
        (" 7942/7942   1006.298100:    1003009 cpu-clock: ", Header("", 7942, 7942, -1, 1006298100000, 1003009, "cpu-clock")),
        ("cpu-clock: ", Header("", -1, -1, -1, -1, None, "cpu-clock")),
        ("   1003009 cpu-clock: ", Header("", -1, -1, -1, -1, 1003009, "cpu-clock")),
        ("t  7942 ", Header("t", -1, 7942)),
        (" 7942 ", Header("", -1, 7942)),
        ("[000] ", Header("", -1, -1, 0)),
        ("t ", Header("t")),
        ("", Header()),
    ],
)  # fmt: skip
def test_absent_fields(line: str, expected: Header) -> None:
    assert read(line)[:7] == expected[:7]


def test_a_frame_on_the_line_itself() -> None:
    line = "             a 1 22404/22407   3414.1: "
    header = read(
        "               t 16460  1521.941093:    1003009 cpu-clock:      559870d9f278 leaf+0x18 (/tmp/t)",
        frames_follow=False,
    )
    assert (header.comm, header.tid, header.frame) == ("t", 16460, "559870d9f278 leaf+0x18 (/tmp/t)")
    header = read("       worker 12 22406 cpu-clock:  ffffffff821f2fa7 exc_page_fault ([k])", frames_follow=False)
    assert (header.comm, header.tid, header.frame) == ("worker 12", 22406, "ffffffff821f2fa7 exc_page_fault ([k])")
    header = read("     559870d9f278 leaf", frames_follow=False)
    assert (header.comm, header.frame) == ("", "559870d9f278 leaf")
    assert header_of(line, frames_follow=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "prev_comm=a prev_pid=7 ==> next_comm=b 3 4.000000: x:",
        "comm=foo 7 5.000000: cycles: bar",
        "add up",
        "dead beef",
    ],
)
def test_the_text_of_a_tracepoint_is_no_frame(text: str) -> None:
    header = read(f"sh  9278 [003]   18.000001: sched:sched_switch: {text}")
    assert (header.comm, header.tid, header.cpu, header.event) == ("sh", 9278, 3, "sched:sched_switch")
    assert header.frame == ""


def test_deferred_call_chains() -> None:
    header = read("pwd    2312   121.163447: DEFERRED CALLCHAIN [cookie: b00000006]")
    assert (header.comm, header.tid, header.cookie, header.event) == ("pwd", 2312, "b00000006", "")


@pytest.mark.parametrize(
    "line",
    [
        "Warning: Processed 75 events and lost 20 chunks!",
        "failed to open /tmp/perf-1.map, continuing without symbols",
        "error 12 while reading: no such file",
        "main;parse;read 42",
        "12 34 56",
    ],
)
def test_lines_of_other_kinds(line: str) -> None:
    assert header_of(line, frames_follow=False) is None


def test_mappings_and_losses() -> None:
    records = RecordLines()
    for line in (
        "t  7942/7942   1006.297102732: PERF_RECORD_MMAP2 7942/7942: "
        "[0x5639b365e000(0x1000) @ 0x1000 fe:00 9978131 247812337]: r-xp /tmp/my app (deleted)",
        "t  7942/7942   1006.297138987: PERF_RECORD_MMAP2 7942/7942: [0x7f6351157000(0x2000) @ 0 00:00 0 0]: r-xp [vdso]",
        "t 1/1 1.5: PERF_RECORD_MMAP2 1/1: [0x400000(0x1000) @ 0x1000 <47e289cfbc2b>]: r-xp /usr/bin/x",
        "swapper 0/0 0.0: PERF_RECORD_MMAP -1/0: [0xffffffff81000000(0x1209988) @ 0xffffffff81000000]: x [kernel.kallsyms]_text",
        "busy 18370  1630.621569: PERF_RECORD_LOST lost 3",
        "busy 18370  1630.621569: PERF_RECORD_LOST_SAMPLES lost 4",
        "busy 18370  1630.621569: PERF_RECORD_COMM exec: t:7942/7942",
    ):  # fmt: skip
        assert records.read(line)
    assert records.lost == 7
    assert records.mappings[0] == Mapping(7942, 0x5639B365E000, 0x1000, 0x1000, "/tmp/my app (deleted)", "", 9978131)
    assert records.mappings[2].build_id == "47e289cfbc2b"
    assert len(records.mappings) == 4
    assert not records.read("t  7942  1006.298100: cpu-clock: ")


@pytest.mark.parametrize(
    "line", ["3    5025125 cpu-clock: ", "t 16460 3    5025125 cpu-clock: ", "t  1 2 3  4 5  6 e: "]
)
def test_numbers_apart_are_not_one_period(line: str) -> None:
    header = header_of(line, frames_follow=True)
    assert header is None or header.period in (None, 5025125)


@pytest.mark.parametrize("time", ["9999999999.000000", "9999999999.000000001"])
def test_a_time_beyond_all_clocks_is_unknown(time: str) -> None:
    assert read(f"t 12/13 [000] {time}: 5 cycles: ").time_ns == -1
