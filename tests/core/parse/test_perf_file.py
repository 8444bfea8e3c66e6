"""The frame of a perf.data file, read without perf: recorded files, and what is left of damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.errors import ParseError
from tailflame.parse.perf_file import is_perf_data, read_perf_file
from tailflame.parse.perf_header import PerfEvent

FOLDER = DATA / "perf" / "6.1.187"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"


def test_what_a_recording_says_of_itself() -> None:
    file = read_perf_file(FOLDER / "fp.data")
    header = file.header
    assert (header.hostname, header.arch, header.cpus, header.version) == ("vm", "x86_64", 2, "6.1.187")
    assert header.argv == (
        *("/usr/bin/perf", "record", "-q", "-N", "-k", "CLOCK_MONOTONIC", "-F", "997", "-e", "cpu-clock"),
        *("--call-graph", "fp", "-o", "fp.data", "./spin"),
    )
    assert header.events == (
        PerfEvent("cpu-clock", 997, None, frozenset(("IP", "TID", "TIME", "CALLCHAIN", "PERIOD")), True),
    )
    assert ("/opt/spin/spin", BUILD_ID) in header.build_ids
    assert header.started_at is not None and header.started_at.isoformat().startswith("2026-")
    assert 0 < header.first_ns < header.last_ns
    assert (file.tally.samples, file.lost, file.tally.throttled) == (849, 0, 0)
    assert (file.whole, file.closed, file.is_pipe, file.big_endian) == (True, True, False, False)


def test_several_events() -> None:
    events = read_perf_file(FOLDER / "events.data").header.events
    assert [event.name for event in events] == ["cpu-clock", "page-faults", "context-switches"]
    assert {event.frequency_hz for event in events} == {499}


def test_a_recording_of_copied_stacks() -> None:
    fields = read_perf_file(FOLDER / "dwarf.data").header.fields
    assert {"STACK_USER", "REGS_USER"} <= fields


def test_a_recording_written_to_a_pipe() -> None:
    file = read_perf_file(FOLDER / "pipe.data")
    assert (file.is_pipe, file.whole, file.tally.samples, file.header.hostname) == (True, True, 933, "vm")
    assert file.header.events[0].name == "cpu-clock"


def test_compressed_records_are_not_counted() -> None:
    tally = read_perf_file(FOLDER / "packed.data").tally
    assert (tally.compressed, tally.samples) == (True, 0)


def test_a_recording_that_was_never_closed() -> None:
    file = read_perf_file(FOLDER / "killed.data")
    assert (file.closed, file.tally.samples) == (False, 416)
    assert file.header.argv == ()


def test_lost_samples_are_counted_as_perf_report_counts_them() -> None:
    file = read_perf_file(FOLDER / "all-lost.data")
    # LOST (the ring buffer's) and LOST_SAMPLES (the kernel's, asked for at the end) tell of the same losses.
    assert file.tally.lost >= file.tally.lost_samples == file.lost == 24_351


def cut(tmp_path: Path, name: str, size: int) -> Path:
    path = tmp_path / name
    path.write_bytes((FOLDER / name).read_bytes()[:size])
    return path


@pytest.mark.parametrize("name", ["fp.data", "pipe.data", "killed.data"])
def test_a_file_that_ends_within_a_record(tmp_path: Path, name: str) -> None:
    file = read_perf_file(cut(tmp_path, name, 40_001))
    assert not file.whole
    assert 100 < file.tally.samples < 800
    assert 39_000 < file.tally.end <= 40_001


@pytest.mark.parametrize("size", [8, 15, 40, 103, 150])
def test_a_file_that_ends_within_its_header(tmp_path: Path, size: int) -> None:
    with pytest.raises(ParseError, match="cut short: it ends within its own header"):
        read_perf_file(cut(tmp_path, "fp.data", size))


@pytest.mark.parametrize("data", [b"", b"PERF", b"main;work 3\n"])
def test_other_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "perf.data"
    path.write_bytes(data)
    assert not is_perf_data(data)
    with pytest.raises(ParseError, match=r"is not a perf\.data file"):
        read_perf_file(path)


def test_the_other_byte_order(tmp_path: Path) -> None:
    """A file as a big-endian machine writes it: one event, two samples, lost ones, a hostname and a command."""
    attr = struct.pack(">2I5Q", 1, 128, 0, 99, 0b1000_0111, 0x4, 1 << 10).ljust(128, b"\0")
    records = struct.pack(">IHH", 9, 2, 16) + bytes(8)
    records += struct.pack(">IHH", 2, 0, 24) + struct.pack(">2Q", 7, 5)
    records += struct.pack(">IHH", 9, 2, 8)
    records_at = 104 + len(attr) + 16
    name = struct.pack(">I", 8) + b"bigbox\0\0"
    argv = struct.pack(">I", 3) + b"".join(struct.pack(">I", 8) + w.ljust(8, b"\0") for w in (b"perf", b"record", b"x"))
    features_at = records_at + len(records) + 32
    file = b"2ELIFREP" + struct.pack(">2Q", 104, 144) + struct.pack(">2Q", 104, 144)
    file += struct.pack(">2Q", records_at, len(records)) + bytes(16) + struct.pack(">4Q", 1 << 3 | 1 << 11, 0, 0, 0)
    file += attr + bytes(16) + records
    file += struct.pack(">4Q", features_at, len(name), features_at + len(name), len(argv)) + name + argv
    path = tmp_path / "perf.data"
    path.write_bytes(file)
    found = read_perf_file(path)
    assert (found.big_endian, found.whole, found.header.hostname) == (True, True, "bigbox")
    assert found.header.argv == ("perf", "record", "x")
    assert (found.tally.samples, found.lost) == (2, 5)
    assert found.header.events == (PerfEvent("cpu-clock", 99, None, frozenset(("IP", "TID", "TIME", "CPU"))),)


def test_data_that_a_records_size_does_not_count_is_passed_over(tmp_path: Path) -> None:
    """Tracepoint descriptions and hardware traces in a pipe: what they hold may look like records."""
    sample = struct.pack("<IHH", 9, 2, 8)
    tracing = struct.pack("<IHHI", 66, 0, 12, 13) + sample + bytes(8)  # 13 bytes, filled up to 16
    trace = struct.pack("<IHHQ", 71, 0, 48, 24).ljust(48, b"\0") + sample * 3
    path = tmp_path / "perf.data"
    path.write_bytes(b"PERFILE2" + struct.pack("<Q", 16) + tracing + trace + sample)
    found = read_perf_file(path)
    assert (found.is_pipe, found.whole, found.tally.samples) == (True, True, 1)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_gives_an_answer_or_a_parse_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    good = (FOLDER / data.draw(st.sampled_from(["fp.data", "pipe.data", "all-lost.data"]))).read_bytes()[:20_000]
    bad = bytearray(good)
    for at, value in data.draw(st.lists(st.tuples(st.integers(8, 400), st.integers(0, 255)), max_size=8)):
        bad[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged.data"
    path.write_bytes(bad[: data.draw(st.integers(0, len(bad)))])
    try:
        file = read_perf_file(path)
    except ParseError:
        return
    assert file.tally.end <= path.stat().st_size
