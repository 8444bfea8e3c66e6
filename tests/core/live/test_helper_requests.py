"""Our command lines in the helper's words: what is composed elsewhere is understood, all else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.errors import ToolDenied
from tailflame.live.counters import Counters
from tailflame.live.helper_requests import HelperRequest, request_of
from tailflame.live.syscall_summary import SyscallSummary
from tailflame.tools.perf_record import CallGraph, PerfOptions, attach_argv

OUT = Path("/profiles/x y/perf.data")


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (PerfOptions(), {"call_graph": "dwarf", "dwarf_stack": 8192, "frequency": 1999, "pages": 0}),
        (PerfOptions(large_buffer=True, dwarf_stack=4096), {"dwarf_stack": 4096, "pages": 2048}),
        (PerfOptions(call_graph=CallGraph.FRAME_POINTERS, frequency=99), {"call_graph": "fp", "frequency": 99}),
        (PerfOptions(call_graph=CallGraph.NONE), {"call_graph": "none"}),
        (PerfOptions(events=("cycles", "cache-misses:u")), {"events": ["cycles", "cache-misses:u"]}),
    ],
)
def test_a_recording(options: PerfOptions, fields: dict[str, object]) -> None:
    request = request_of(attach_argv(options, 4711, OUT))
    assert (request.verb, request.pid, request.out) == ("perf-record", 4711, OUT)
    assert {name: request.fields[name] for name in fields} == fields


def test_a_summary_of_system_calls() -> None:
    assert request_of(SyscallSummary(4711, OUT).argv) == HelperRequest("strace-summary", 4711, {}, OUT)


def test_counting() -> None:
    argv = ("/usr/bin/perf", "stat", "-j", "-I", "200", "-e", "cycles,instructions", "--log-fd", "1", "-p", "4711")
    fields = {"events": ["cycles", "instructions"], "interval_ms": 200, "per_thread": False}
    assert request_of(argv) == HelperRequest("perf-stat", 4711, fields)
    assert request_of((*argv, "--per-thread")).fields["per_thread"] is True


@pytest.mark.parametrize("grouped", [True, False])
def test_counting_as_the_counters_ask_for_it(grouped: bool) -> None:
    source = Counters(4711, interval_s=0.5)
    request = request_of(source.argv(source.events, grouped=grouped))
    events = request.fields["events"]
    assert isinstance(events, list)
    names = [name for part in events for name in (part if isinstance(part, list) else [part])]
    assert sorted(names) == sorted(source.events)
    assert any(isinstance(part, list) for part in events) is grouped
    assert (request.fields["interval_ms"], request.pid) == (500, 4711)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("bpftrace", "-e", "BEGIN {}"),
        ("/bin/sh", "-c", "id"),
        ("perf",),
        ("perf", "script"),
        ("perf", "record", "-a"),
        ("perf", "record", "-F", "99", "-e", "cycles", "-o", "x"),
        ("perf", "record", "-F", "99", "-e", "cycles", "-o", "x", "-p", "1", "--all-cpus"),
        ("perf", "record", "-F", "99", "-e", "cycles", "-o", "x", "-p", "1", "--filter", "x"),
        ("perf", "record", "-F", "99", "-F", "98", "-e", "cycles", "-o", "x", "-p", "1"),
        ("perf", "record", "-F", "max", "-e", "cycles", "-o", "x", "-p", "1"),
        ("perf", "stat", "-e", "cycles", "-I", "100", "-p", "1"),
        ("perf", "stat", "-j", "-e", "cycles", "-I", "100", "-p", "1", "-o", "/x"),
        ("perf", "stat", "-j", "-e", "{cycles,instructions", "-I", "100", "-p", "1"),
        ("perf", "stat", "-j", "-e", "cycles,,instructions", "-I", "100", "-p", "1"),
        ("strace", "-f", "-p", "1", "-o", "x"),
        ("strace", "-c", "-p", "1", "-o", "x", "-e", "inject=all"),
    ],
)
def test_what_the_helper_does_not_run(argv: tuple[str, ...]) -> None:
    with pytest.raises(ToolDenied, match="does not run") as caught:
        request_of(argv)
    assert caught.value.details == " ".join(argv)


@given(
    st.lists(st.sampled_from(["perf", "record", "stat", "strace", "-p", "1", "-e", "-o", "-c", "-j", "x", "--", ""]))
)
def test_any_command_line_is_understood_or_refused(argv: list[str]) -> None:
    try:
        request_of(argv)
    except ToolDenied as refusal:
        assert refusal.sentence
