"""Counting a perf.data file while it grows, and mending one that was cut."""

from __future__ import annotations

import itertools
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.run.perf_file import Counts, GrowingPerfFile, is_finished, mend

OFFSET = 200
SAMPLE, LOST, LOST_SAMPLES, MMAP2, AUXTRACE, COMPRESSED = 9, 2, 13, 10, 71, 81
EXIT, FORK = 4, 7


def header(size: int = 0) -> bytes:
    """The header of a file whose records begin at OFFSET; `size` is 0 while perf still writes."""
    fields = struct.pack("<8s6Q", b"PERFILE2", 104, 144, 136, 64, OFFSET, size)
    return (fields + bytes(16) + b"\xff" * 32).ljust(OFFSET, b"\0")


def record(kind: int, body: bytes = bytes(40)) -> bytes:
    return struct.pack("<IHH", kind, 1, 8 + len(body)) + body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perf.data"


def test_nothing_there(path: Path) -> None:
    assert GrowingPerfFile(path).look() == Counts()
    assert not is_finished(path)


def test_samples_and_losses(path: Path) -> None:
    records = [
        *(record(MMAP2), record(SAMPLE), record(SAMPLE, bytes(9000)), record(LOST, struct.pack("<QQ", 1, 7))),
        *(record(LOST_SAMPLES, struct.pack("<Q", 5)), record(SAMPLE)),
    ]
    path.write_bytes(header() + b"".join(records))
    counts = GrowingPerfFile(path).look()
    assert (counts.samples, counts.lost, counts.exact) == (3, 12, True)
    assert counts.bytes == path.stat().st_size


def test_trace_data_behind_its_record_is_jumped_over(path: Path) -> None:
    trace = record(SAMPLE) * 100  # looks like samples
    path.write_bytes(header() + record(AUXTRACE, struct.pack("<Q", len(trace)) + bytes(32)) + trace + record(SAMPLE))
    assert GrowingPerfFile(path).look().samples == 1


def test_compressed_records_cannot_be_counted(path: Path) -> None:
    path.write_bytes(header() + record(COMPRESSED, bytes(1000)) + record(SAMPLE))
    assert not GrowingPerfFile(path).look().exact


def test_the_sections_behind_the_records_are_not_walked(path: Path) -> None:
    records = record(SAMPLE) * 3
    path.write_bytes(header(len(records)) + records + record(SAMPLE) * 50)
    assert GrowingPerfFile(path).look().samples == 3
    assert is_finished(path)


def test_a_new_file_in_the_old_ones_place(path: Path) -> None:
    path.write_bytes(header() + record(SAMPLE) * 10)
    file = GrowingPerfFile(path)
    assert file.look().samples == 10
    path.rename(path.with_suffix(".old"))
    path.write_bytes(header() + record(SAMPLE) * 2)
    assert file.look().samples == 2


def task(kind: int, pid: int, parent: int, tid: int) -> bytes:
    return record(kind, struct.pack("<IIIIQ", pid, parent, tid, parent, 1))


def test_processes_without_an_end_are_known(path: Path) -> None:
    records = [
        *(task(FORK, 7, 5, 7), task(FORK, 5, 5, 6)),  # a process, and a thread of the first one
        *(task(EXIT, 8, 5, 8), task(FORK, 8, 5, 8)),  # another processor's buffer was written first
        *(task(FORK, 9, 7, 9), task(EXIT, 9, 7, 10)),  # only a thread of it has ended
    ]
    path.write_bytes(header() + b"".join(records))
    file = GrowingPerfFile(path)
    file.look()
    assert file.not_ended == {7, 9}


KINDS = st.sampled_from([SAMPLE, SAMPLE, LOST, LOST_SAMPLES, MMAP2, 3, 70])
BODIES = st.integers(2, 40).map(lambda words: bytes(8 * words)) | st.just(bytes(65000))


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.tuples(KINDS, BODIES), max_size=60),
    cuts=st.lists(st.floats(0, 1), max_size=8),
)
def test_grown_in_any_portions_the_count_is_the_same(
    path: Path, records: list[tuple[int, bytes]], cuts: list[float]
) -> None:
    whole = header() + b"".join(record(kind, body) for kind, body in records)
    path.unlink(missing_ok=True)
    path.touch()
    file = GrowingPerfFile(path)
    ends = [*sorted(int(len(whole) * cut) for cut in cuts), len(whole)]
    seen = 0
    for begin, end in itertools.pairwise([0, *ends]):
        with path.open("ab") as growing:
            growing.write(whole[begin:end])
        now = file.look()
        assert now.samples >= seen
        assert now.bytes == end
        seen = now.samples
    assert seen == sum(kind == SAMPLE for kind, _ in records)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_survived(path: Path, data: bytes) -> None:
    for content in (data, header()[: len(data)] + data, header() + data):
        path.write_bytes(content)
        GrowingPerfFile(path).look()
        is_finished(path)
        mend(path)


def test_mending_cuts_the_half_record_and_writes_the_length(path: Path) -> None:
    whole = record(SAMPLE) * 5
    path.write_bytes(header() + whole + record(SAMPLE)[:20])
    assert mend(path)
    data = path.read_bytes()
    assert data[OFFSET:] == whole
    assert is_finished(path)
    assert data[72:104] == bytes(32)  # no feature sections are announced
    assert not mend(path)


def test_nothing_to_mend(path: Path) -> None:
    for content in (b"", b"PERFILE2", header(), header() + record(SAMPLE)[:8], b"hello" * 100):
        path.write_bytes(content)
        assert not mend(path)
        assert path.read_bytes() == content


@pytest.mark.tool("perf")
def test_perf_agrees_on_its_own_file(path: Path) -> None:
    argv = ["perf", "record", "-q", "-F", "997", "-e", "cpu-clock", "-g", "-o", str(path), "--"]
    done = subprocess.run([*argv, "python3", "-c", "sum(i * i for i in range(3_000_000))"], capture_output=True)
    if done.returncode:
        pytest.skip("perf may not record here")
    script = subprocess.run(
        ["perf", "script", "-i", str(path), "-F", "time"], capture_output=True, text=True, check=True
    ).stdout
    samples = script.count(":")
    assert samples > 20
    assert GrowingPerfFile(path).look().samples == samples
    # Cut where it stood in the middle of a recording, perf reads it no more; mended, it gives back what was whole.
    data = bytearray(path.read_bytes())
    offset, length = struct.unpack_from("<QQ", data, 40)
    struct.pack_into("<Q", data, 48, 0)
    path.write_bytes(data[: offset + length * 2 // 3])
    kept = GrowingPerfFile(path).look().samples
    assert 0 < kept < samples
    assert mend(path)
    again = subprocess.run(
        ["perf", "script", "-i", str(path), "-F", "time"], capture_output=True, text=True, check=True
    ).stdout
    assert again.count(":") == kept
