"""perf.data that is cut, damaged or hostile: a sentence or what is left of it, no crash, hang or full memory."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.errors import ParseError, TailflameError
from tailflame.model import FrameKind, StackProfile
from tailflame.parse import load
from tailflame.parse.perf_file import read_perf_file
from tailflame.parse.perfdata.reader import Content, Unread, content_of, read
from tailflame.parse.perfdata.records import walk
from tailflame.parse.perfdata.tracing import tracepoints
from tailflame.parse.symbolize import Inlined, Module, Named, Symbolizer
from tailflame.parse.symbolize.answers import no_lines, no_names

FOLDER = DATA / "perf" / "6.1.187"
IP, TID, TIME, CALLCHAIN, PERIOD = 1 << 0, 1 << 1, 1 << 2, 1 << 5, 1 << 8
USER_MARK = (1 << 64) - 512


class NoNames(Symbolizer):
    """Looks at nothing on this machine."""

    def expect(self, modules: Any) -> None:
        pass

    def names(self, module: Module, offsets: Any) -> Named:
        assert (np.diff(offsets.astype(object)) >= 0).all()
        return no_names(offsets)

    def inlined(self, module: Module, offsets: Any, exact: Any) -> Inlined:
        return no_lines(len(offsets))


def opened(path: Path) -> tuple[Content, StackProfile]:
    content = content_of(path, read_perf_file(path), lambda: None)
    with NoNames() as symbolizer:
        reading = read(content, build_ids=(), symbolizer=symbolizer, watch=lambda: None, progress=lambda share: None)
        _, first = reading.first()
        refined = reading.refined(lambda share: None)
    for profile in (first, refined):
        consistent(profile)
    return content, refined


def consistent(profile: StackProfile) -> None:
    stacks, samples = profile.stacks, profile.samples
    assert (stacks.parent < np.arange(len(stacks))).all() and (stacks.parent >= -1).all()
    assert len(set(zip(stacks.parent.tolist(), stacks.frame.tolist(), strict=True))) == len(stacks)
    assert ((samples.stack >= -1) & (samples.stack < len(stacks))).all()
    assert ((stacks.frame >= 0) & (stacks.frame < len(profile.frames))).all()
    assert ((samples.thread >= 0) & (samples.thread < len(profile.threads))).all()
    assert ((samples.event >= 0) & (samples.event < max(len(profile.events), 1))).all()
    assert np.isfinite(samples.period).all() and (samples.time_ns >= -1).all()
    assert samples.site is not None and profile.sites is not None
    assert ((samples.site >= -1) & (samples.site < len(profile.sites))).all()


def record(kind: int, body: bytes, misc: int = 2) -> bytes:
    return struct.pack("<IHH", kind, misc, 8 + len(body)) + body


def file_of(records: bytes, *, fields: int = IP | TID | TIME | CALLCHAIN | PERIOD, flags: int = 1 << 18) -> bytes:
    attr = struct.pack("<2I5Q", 1, 128, 0, 99, fields, 0, flags).ljust(128, b"\0")
    at = 104 + len(attr) + 16
    head = b"PERFILE2" + struct.pack("<2Q", 104, 144) + struct.pack("<4Q", 104, 144, at, len(records))
    return head + bytes(16) + bytes(32) + attr + bytes(16) + records


def sample(
    *chain: int,
    ip: int = 0x1000,
    pid: int = 7,
    time: int = 10,
    period: int = 1,
    count: int | None = None,
    misc: int = 2,
) -> bytes:
    number = len(chain) if count is None else count
    body = struct.pack("<QiiQQQ", ip, pid, pid, time, period, number) + struct.pack(f"<{len(chain)}Q", *chain)
    return record(9, body, misc)


def write(path: Path, records: bytes, **more: int) -> Path:
    path.write_bytes(file_of(records, **more))
    return path


@pytest.mark.parametrize("name", ["fp", "pipe", "packed", "switch", "group"])
def test_cut_at_each_record(name: str, tmp_path: Path) -> None:
    """And within a record; the samples that come before the cut are all there."""
    data = (FOLDER / f"{name}.data").read_bytes()
    whole = read_perf_file(FOLDER / f"{name}.data")
    path = tmp_path / "perf.data"
    samples = np.cumsum(whole.records.kind == 9)
    step = max(len(whole.records) // 40, 1)
    for row in range(0, len(whole.records), step):
        for beyond in (0, 3):
            path.write_bytes(data[: int(whole.records.at[row]) + beyond])
            try:
                content, profile = opened(path)
            except (ParseError, Unread):
                continue
            if name in ("fp", "pipe"):
                assert len(content.columns) == (samples[row - 1] if row else 0)
                assert len(profile.samples) == len(content.columns)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_damaged_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["fp", "pipe", "events", "switch", "group", "extra", "faults", "packed"]))
    bad = bytearray((FOLDER / f"{name}.data").read_bytes()[:30_000])
    places = st.integers(8, len(bad) - 9)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        bad[at] = value
    for at, number in data.draw(
        st.lists(st.tuples(places, st.sampled_from([2**60, 2**64 - 1, 2**63, 65535])), max_size=3)
    ):
        bad[at // 8 * 8 : at // 8 * 8 + 8] = struct.pack("<Q", number)
    path = tmp_path_factory.getbasetemp() / "damaged.perf.data"
    path.write_bytes(bad)
    with contextlib.suppress(ParseError, Unread):
        opened(path)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600), st.integers(0, (1 << 26) - 1), st.integers(0, (1 << 40) - 1))
def test_any_bytes_as_records(tmp_path_factory: pytest.TempPathFactory, noise: bytes, fields: int, flags: int) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.perf.data"
    noise = noise[: len(noise) // 8 * 8]
    # Sizes that fit, so that what is in the records is looked at.
    records = b"".join(
        record(noise[at] % 24, noise[at + 1 : at + 1 + size] + bytes(-len(noise[at + 1 : at + 1 + size]) % 8))
        for at, size in ((at, 8 * (1 + noise[at] % 20)) for at in range(0, len(noise), 40))
    )
    write(path, records, fields=fields, flags=flags)
    with contextlib.suppress(ParseError, Unread):
        opened(path)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["<", ">"]), st.integers(0, 16))
def test_the_walk_ends_where_records_end(noise: bytes, order: str, begin: int) -> None:
    records = walk(noise, order, min(begin, len(noise)), len(noise))
    assert records.end <= max(len(noise), begin)
    at = min(begin, len(noise))
    for row in range(len(records)):
        assert records.at[row] == at and records.size[row] >= 8
        extra = 0
        if records.kind[row] in (66, 71) and records.size[row] >= (12 if records.kind[row] == 66 else 16):
            width, kind = (4, "I") if records.kind[row] == 66 else (8, "Q")
            extra = struct.unpack_from(order + kind, noise, at + 8)[0] + 7 & ~7
            assert at + 8 + width <= len(noise)
        at += int(records.size[row]) + extra
    assert at == records.end


def test_a_chain_of_more_entries_than_there_are(tmp_path: Path) -> None:
    records = sample(USER_MARK, 0x1000, count=2**60) + sample(USER_MARK, 0x1000, 0x2000) + sample(count=2**64 - 1)
    content, profile = opened(write(tmp_path / "perf.data", records))
    assert content.columns.damaged.tolist() == [True, False, True]
    depths = profile.stacks.depths()[profile.samples.stack]
    assert depths.tolist() == [1, 2, 1]  # below the thread's name; the sampled address is known of all


def test_a_sample_of_the_kernel_with_the_users_callers_only(tmp_path: Path) -> None:
    """perf record --user-callchains: perf report counts the sampled function, whatever the chain begins with."""
    inside = 0xFFFFFFFF81000000
    records = sample(USER_MARK, 0x1000, 0x2000, ip=inside, misc=1) + sample(USER_MARK, 0x1000, 0x2000)
    _, profile = opened(write(tmp_path / "perf.data", records))
    stacks, kind = profile.stacks, profile.frames.kind
    kinds = [[int(kind[stacks.frame[row]]) for row in stacks.path(stack)] for stack in profile.samples.stack]
    other, kernel, user = FrameKind.OTHER, FrameKind.KERNEL, FrameKind.USER
    assert kinds == [[other, user, user, kernel], [other, user, user]]


def test_samples_shorter_than_their_fields(tmp_path: Path) -> None:
    """What they lack lies behind them: in the next record, or behind the end of the file."""
    short = record(9, struct.pack("<Q", 0x1000))
    records = sample(USER_MARK, 0x1000, 0x2000) + short + sample(USER_MARK, 0x1000, 0x2000) + short
    content, profile = opened(write(tmp_path / "perf.data", records))
    assert content.columns.damaged.tolist() == [False, True, False, True]
    depth = profile.stacks.depths()[profile.samples.stack].tolist()
    depths = sorted(zip(profile.samples.time_ns.tolist(), depth, strict=True))
    assert depths == [(0, 1), (0, 1), (10, 2), (10, 2)]


def test_a_pipe_with_many_events_and_build_ids(tmp_path: Path) -> None:
    """Each of them is looked at once: tens of thousands took minutes."""
    event = file_of(b"")[104 : 104 + 128]
    attrs = b"".join(record(64, event + struct.pack("<Q", number)) for number in range(10_000))
    ids = b"".join(record(67, struct.pack("<i", -1) + bytes(24) + b"/x%06d\0" % number) for number in range(60_000))
    path = tmp_path / "perf.data"
    path.write_bytes(b"PERFILE2" + struct.pack("<Q", 16) + attrs + ids + sample())
    file = read_perf_file(path)
    assert (len(file.attrs), len(file.header.events), len(file.header.build_ids)) == (10_000, 10_000, 60_000)


def tracing(*formats: bytes) -> bytes:
    """Tracing data as perf record keeps them, with one system of events."""
    head = b"\x17\x08Dtracing" + b"0.6\0" + bytes(2) + bytes(4)
    pages = b"header_page\0" + bytes(8) + b"header_event\0" + bytes(8) + bytes(4)
    events = b"".join(struct.pack("<Q", len(text)) + text for text in formats)
    return head + pages + struct.pack("<I", 1) + b"sched\0" + struct.pack("<I", len(formats)) + events


def test_formats_of_tracepoints_that_cannot_be() -> None:
    good = (
        b"name: sched_switch\nID: 7\nformat:\n\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n"
        b"\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n"
        b"\tfield:__data_loc char[] name;\toffset:28;\tsize:4;\tsigned:0;\n"
    )
    endless = b"name: other\nID: 8\n\tfield:" + b"a" * 1_000_000 + b"\nfield:" * 100_000
    far = b"name: far\nID: 9\n\tfield:int x;\toffset:99999999999999999999;\tsize:4;\tsigned:0;\n\tfield:];\toffset:1;"
    found = tracepoints(tracing(good, endless, far))
    assert found[7].name == "sched:sched_switch"
    assert found[7].fields == {"prev_comm": (8, 16, False), "prev_pid": (24, 4, True), "name": (28, 4, False)}
    assert not found[8].fields and not found[9].fields
    too_large = tracing(good)[: -len(good) - 8] + struct.pack("<Q", 2**64 - 1) + good
    assert list(tracepoints(too_large)) == [7]
    # What follows stands nowhere.
    two = tracing(good, good)
    at = two.index(good) - 8
    assert list(tracepoints(two[:at] + struct.pack("<Q", 2**63) + two[at + 8 :])) == [7]


def test_impossible_addresses_give_the_chain_up(tmp_path: Path) -> None:
    records = sample(USER_MARK, 0x1000, (1 << 64) - 3) + sample((1 << 64) - 3, 0x1000) + sample(USER_MARK)
    path = write(tmp_path / "perf.data", records)
    recording = load(path)
    assert recording.profile is not None
    assert recording.profile.stacks.depths()[recording.profile.samples.stack].tolist() == [1, 1, 1]
    assert any("call chain of 100.0% of the samples is broken" in w.text for w in recording.warnings)


def test_times_that_cannot_be(tmp_path: Path) -> None:
    records = sample(0x10, time=2**64 - 1) + sample(0x10, time=5) + sample(0x10, time=2**63) + sample(0x10, time=3)
    _, profile = opened(write(tmp_path / "perf.data", records))
    assert profile.samples.time_ns.tolist() == [-1, -1, 3, 5]


def test_mappings_that_cannot_be(tmp_path: Path) -> None:
    def mapped(start: int, size: int, path: bytes) -> bytes:
        return record(1, struct.pack("<iiQQQ", 7, 7, start, size, 0) + path.ljust(8, b"\0") + bytes(16))

    records = mapped(0, 2**64 - 1, b"/a") + mapped(2**64 - 1, 2**64 - 1, b"/b") + mapped(2**63, 0, b"/c")
    records += record(1, b"")  # too short for anything
    content, profile = opened(write(tmp_path / "perf.data", records + sample(0x10, 2**64 - 5000)))
    assert content.side.damaged == 1
    names = profile.frames.names()
    assert [names[f] for f in profile.stacks.frame.tolist()] == [":7", "[a]", "[a]"]


def test_processes_that_copy_each_other_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailflame.parse.perfdata.spaces.PIECES_LIMIT", 1000)
    records = b"".join(
        record(1, struct.pack("<iiQQQ", 7, 7, 4096 * n, 4096, 0) + b"/a\0\0\0\0\0\0" + bytes(16)) for n in range(1, 400)
    )
    records += b"".join(record(7, struct.pack("<iiiiQ", n, 7, n, 7, n) + bytes(16), misc=0) for n in range(100, 1100))
    path = write(tmp_path / "perf.data", records + sample(0x1010))
    recording = load(path)
    assert any("mapped too often" in caution.text for caution in recording.warnings)


def test_a_stream_of_zeros_does_not_fill_the_memory(tmp_path: Path) -> None:
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    packed = b"".join(compressor.compress(bytes(1 << 24)) for _ in range(40)) + compressor.flush()
    records = b"".join(record(81, packed[at : at + 60_000], misc=0) for at in range(0, len(packed), 60_000))
    path = write(tmp_path / "perf.data", records)
    tracemalloc.start()
    try:
        with pytest.raises(TailflameError, match="unpack to more than 400 times their size"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 700e6
    finally:
        tracemalloc.stop()


def test_compressed_records_that_end_in_the_middle(tmp_path: Path) -> None:
    data = (FOLDER / "packed.data").read_bytes()
    file = read_perf_file(FOLDER / "packed.data")
    first = int(file.records.at[file.records.rows(81, 83)[0]])
    bad = bytearray(data)
    bad[first + 4000 : first + 4100] = bytes(100)
    path = tmp_path / "perf.data"
    path.write_bytes(bad)
    try:
        content, _ = opened(path)
    except ParseError:
        return
    assert not content.whole


@pytest.mark.parametrize(
    ("records", "fields", "why"),
    [
        (sample(0x10), IP | TID | TIME | CALLCHAIN | PERIOD | 1 << 25, "its samples carry fields of a newer kernel"),
        (record(71, struct.pack("<Q", 0) + bytes(32)) + sample(0x10), None, "it holds a hardware trace"),
        (sample(0x10).replace(b"\x02\x00", b"\x05\x00", 1), None, "it holds samples of a virtual machine"),
        (record(22, bytes(32)) + sample(0x10), None, "its call chains came later than their samples"),
    ],
)
def test_what_is_left_to_perf_is_told(records: bytes, fields: int | None, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "perf.data", records, **({} if fields is None else {"fields": fields}))
    with pytest.raises(Unread, match=why):
        content_of(path, read_perf_file(path), lambda: None)


def test_a_big_endian_machines_file_is_left_to_perf(tmp_path: Path) -> None:
    path = tmp_path / "perf.data"
    attr = struct.pack(">2I5Q", 1, 128, 0, 99, IP, 0, 0).ljust(128, b"\0")
    body = struct.pack(">IHHQ", 9, 2, 16, 0x10)
    head = b"2ELIFREP" + struct.pack(">2Q4Q", 104, 144, 104, 144, 248, len(body)) + bytes(48)
    path.write_bytes(head + attr + bytes(16) + body)
    file = read_perf_file(path)
    assert file.tally.samples == 1
    with pytest.raises(Unread, match="big-endian"):
        content_of(path, file, lambda: None)
