"""pprof profiles: the figures are those of `go tool pprof`, and a damaged file is refused in a sentence."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stack_counts import DATA, stack_counts, stack_periods
from tailflame.analyse.hotspots import hotspots
from tailflame.errors import Cancelled, ParseError
from tailflame.model import FrameKind, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.parse.pprof import PPROF
from tailflame.parse.symbolize.elf_file import open_elf
from tailflame.units import Unit

GO = DATA / "pprof" / "go-1.26.8"
RUST = DATA / "pprof" / "pprof-rs-0.15"
_ROW = re.compile(
    r"\s*([\d.]+)(?:ns|B)?\s+[\d.]+%\s+[\d.]+%\s+([\d.]+)(?:ns|B)?\s+[\d.]+%\s+(.*?)(?: \((?:partial-)?inline\))?"
)


def reported(path: Path) -> dict[str, tuple[float, float]]:
    """(flat, cum) of each function as `go tool pprof -top` prints them."""
    rows = (_ROW.fullmatch(line) for line in path.read_text().splitlines())
    return {row[3]: (float(row[1]), float(row[2])) for row in rows if row}


def counted(profile: StackProfile, event: int) -> dict[str, tuple[float, float]]:
    weight = Weight.PERIOD if profile.events[event].has_period else Weight.SAMPLES
    table = hotspots(profile, event=event, weight=weight, inlines=True)
    rows = zip(table.key, table.self_weight.tolist(), table.total_weight.tolist(), strict=True)
    return {name: (own, total) for name, own, total in rows if total}


def read(path: Path) -> StackProfile:
    profile = load(path).profile
    assert profile is not None
    return profile


def test_cpu_time_of_go_is_what_pprof_counts() -> None:
    recording = load(GO / "cpu.pb.gz")
    profile = recording.profile
    assert profile is not None
    assert [(e.name, e.unit, e.has_period) for e in profile.events] == [("cpu", Unit.NANOSECONDS, True)]
    assert profile.total(weight=Weight.PERIOD) == 10e6 * profile.total()  # a sample each 10 ms
    assert counted(profile, 0) == reported(GO / "cpu.top.txt")
    assert FrameKind.INLINED in profile.frames.kind
    assert recording.meta.rate_asked_hz == 100
    assert recording.meta.build_ids[0][1] in (GO / "cpu.top.txt").read_text()
    assert ["“worker”" in told.text for told in recording.warnings] == [True]


def test_the_heap_of_go_is_what_pprof_counts() -> None:
    profile = read(GO / "heap.pb.gz")
    # What pprof shows first comes first.
    assert [e.name for e in profile.events] == ["inuse_space", "alloc_space"]
    assert all(e.unit is Unit.BYTES for e in profile.events)
    for event, name in enumerate(("inuse_space", "alloc_space")):
        assert counted(profile, event) == reported(GO / f"heap.{name}.top.txt")


def test_pprof_rs_tells_threads() -> None:
    profile = read(RUST / "pprof-rs.pb")
    assert {"engine-1", "bench"} <= {thread.name for thread in profile.threads}
    expected = reported(RUST / "pprof-rs.top.txt")
    assert counted(profile, 0) == expected


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def packed(field: int, *values: int) -> bytes:
    return message(field, *(varint(value) for value in values))


TEXTS = (
    "",
    "samples",
    "count",
    "cpu",
    "nanoseconds",
    "main",
    "work",
    "inner",
    "/bin/app",
    "/src/a.c",
    "tid",
    "thread",
    "w",
)
STRINGS = b"".join(message(6, text.encode()) for text in TEXTS)
TYPES = message(1, number(1, 1), number(2, 2)) + message(1, number(1, 3), number(2, 4))
PLACES = (
    message(3, number(1, 1), number(5, 8))
    + message(5, number(1, 1), number(2, 5), number(4, 9))
    + message(5, number(1, 2), number(2, 6))
    + message(5, number(1, 3), number(2, 7))
    + message(4, number(1, 10), number(2, 1), message(4, number(1, 1), number(2, 3)))
    # `inner` is inlined into `work`: the innermost comes first.
    + message(4, number(1, 11), number(2, 1), message(4, number(1, 3)), message(4, number(1, 2), number(2, 7)))
    + message(4, number(1, 12), number(3, 0xABC))
)


def written(tmp_path: Path, *samples: bytes, types: bytes = TYPES) -> Path:
    path = tmp_path / "profile.pb"
    path.write_bytes(types + b"".join(samples) + PLACES + STRINGS)
    return path


def test_lines_labels_and_both_encodings_of_lists(tmp_path: Path) -> None:
    labels = message(3, number(1, 11), number(2, 12)) + message(3, number(1, 10), number(3, 77))
    loose = message(2, number(1, 12), number(1, 10), number(2, 1), number(2, 5))
    path = written(
        tmp_path, message(2, packed(1, 11, 10), packed(2, 2, 20), labels), loose, message(2, packed(2, 1, 9))
    )
    assert PPROF.sniff(path.read_bytes(), "x") > 0.8
    profile = read(path)
    assert stack_counts(profile) == {"main;work;inner": 2, "main;0xabc": 1, "": 1}
    assert stack_periods(profile) == {"main;work;inner": 20, "main;0xabc": 5, "": 9}
    frames = {name: at for at, name in enumerate(profile.frames.names())}
    assert profile.frames.place_of(frames["main"]) == "/src/a.c:3"
    assert profile.frames.module_of(frames["work"]) == "/bin/app"
    kinds = [FrameKind(int(profile.frames.kind[frames[n]])) for n in ("work", "inner", "0xabc")]
    assert kinds == [FrameKind.USER, FrameKind.INLINED, FrameKind.OTHER]
    assert profile.threads == (Thread("w", -1, 77),)
    assert sorted(profile.samples.thread.tolist()) == [-1, -1, 0]


def test_many_samples_are_read_as_few_are(tmp_path: Path) -> None:
    """Above some number, all messages take a step together."""
    chance = random.Random(1)
    expected: Counter[str] = Counter()
    samples = []
    for _ in range(1000):
        ids = [chance.choice((10, 11, 12)) for _ in range(chance.randrange(6))]
        value = chance.randrange(1, 2**40)
        body = packed(1, *ids) if chance.random() < 0.5 else b"".join(number(1, i) for i in ids)
        samples.append(message(2, body, packed(2, 1, value)))
        names = {10: "main", 11: "work;inner", 12: "0xabc"}
        expected[";".join(names[i] for i in reversed(ids))] += value
    assert stack_periods(read(written(tmp_path, *samples))) == expected


def test_one_type_of_values_alone(tmp_path: Path) -> None:
    only_time = message(1, number(1, 3), number(2, 4))
    told = load(written(tmp_path, message(2, packed(1, 10), packed(2, 30)), types=only_time))
    assert told.profile is not None and told.profile.total(weight=Weight.PERIOD) == 30
    assert "number of samples of cpu" in told.warnings[0].text
    # The period tells what one sample stands for.
    known = only_time + message(11, number(1, 3), number(2, 4)) + number(12, 10)
    told = load(written(tmp_path, message(2, packed(1, 10), packed(2, 30)), types=known))
    assert told.profile is not None and told.profile.total() == 3
    assert not told.warnings


def test_a_difference_is_told(tmp_path: Path) -> None:
    told = load(
        written(tmp_path, message(2, packed(1, 10), packed(2, -1, -5)), message(2, packed(1, 10), packed(2, 1, 5)))
    )
    assert told.profile is not None and told.profile.total() == 1
    assert "difference" in told.warnings[0].text


@pytest.mark.parametrize(
    "sample",
    [
        message(2, packed(1, 99), packed(2, 1, 1)),  # no such location
        message(2, packed(1, 10), packed(2, 1)),  # a value is missing
        message(2, b"\x0a\x7f"),  # longer than its message
        message(2, b"\x0a\x01\xff", packed(2, 1, 1)),  # a number without an end
        message(2, b"\x08" + b"\xff" * 11),  # a number too long
        b"\x12" + b"\xff" * 9 + b"\x01",  # a message of 2^64 bytes
        message(2, b"\x0b"),  # a group, which is no type of proto3
        message(2, packed(1, 10), packed(2, 1, 1), message(3, number(1, 500))),  # no such string
    ],
)
def test_damage_is_told_in_a_sentence(tmp_path: Path, sample: bytes) -> None:
    for copies in (1, 40):
        with pytest.raises(ParseError, match="cut short or damaged") as told:
            load(written(tmp_path, *[sample] * copies), format="pprof")
        assert told.value.advice


def test_no_prefix_and_no_changed_byte_does_more_than_fail(tmp_path: Path) -> None:
    whole = gzip.decompress((GO / "cpu.pb.gz").read_bytes())
    path = tmp_path / "cut.pb"
    chance = random.Random(5)
    for _ in range(150):
        data = bytearray(whole[: chance.randrange(1, len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            load(path, format="pprof")
        except ParseError as error:
            assert error.sentence


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pb"
    path.write_bytes(data)
    try:
        load(path, format="pprof")
    except ParseError as error:
        assert error.sentence


@pytest.mark.parametrize("head", [b"main;work 12\n", b"\n\n\n", b"{}", b"\x7fELF\x02\x01\x01", b"\x0a\x00", bytes(100)])
def test_other_files_are_not_taken(head: bytes) -> None:
    assert PPROF.sniff(head, "cpu.pb.gz") < 0


def test_what_is_inlined_without_end_is_refused(tmp_path: Path) -> None:
    """A location of many functions, named many times by many samples, would be any number of frames."""
    many = message(4, number(1, 13), *[message(4, number(1, 1))] * 900)
    sample = message(2, packed(1, *[13] * 2000), packed(2, 1, 1))
    with pytest.raises(ParseError, match="cut short or damaged") as told:
        load(written(tmp_path, sample, many), format="pprof")
    assert "a stack of more than" in told.value.details
    more = message(4, number(1, 13), *[message(4, number(1, 1))] * 1001)
    with pytest.raises(ParseError) as told:
        load(written(tmp_path, more), format="pprof")
    assert "inlined at one address" in told.value.details


def test_reading_can_be_stopped(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        load(GO / "cpu.pb.gz", progress=stop)


@pytest.mark.tool("gcc", "nm")
def test_bare_addresses_are_looked_up_where_the_file_is_still_there(tmp_path: Path) -> None:
    """Profilers that leave symbols to pprof write mappings and addresses alone."""
    (tmp_path / "p.c").write_text(
        "int outer(int n) { return n * 3; }\nint main(int n, char **v) { return outer(n); }\n"
    )
    program = tmp_path / "p"
    words = ["gcc", "-O0", "-g", "-Wl,--build-id", "-o", str(program), "p.c"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    elf = open_elf(program)
    listed = subprocess.run(["nm", str(program)], check=True, capture_output=True, text=True, timeout=60).stdout
    linked = next(int(line.split()[0], 16) for line in listed.splitlines() if line.endswith(" T outer"))
    part = next(row for row in elf.segments if row["vaddr"] <= linked < row["vaddr"] + row["filesz"])
    start, offset = 0x7F0000000000, int(part["offset"]) & ~0xFFF
    address = start + linked - int(part["vaddr"]) + int(part["offset"]) - offset + 4
    for build_id, shown in ((elf.build_id(), "outer"), ("00" * 20, f"0x{address:x}")):
        texts = b"".join(message(6, text.encode()) for text in ("", "samples", "count", str(program), build_id))
        mapping = message(
            3, number(1, 1), number(2, start), number(3, start + 0x10000), number(4, offset), number(5, 3), number(6, 4)
        )
        body = (
            message(1, number(1, 1), number(2, 2))
            + mapping
            + message(4, number(1, 1), number(2, 1), number(3, address))
        )
        path = tmp_path / "bare.pb"
        path.write_bytes(body + message(2, packed(1, 1), packed(2, 6)) + texts)
        profile = read(path)
        assert stack_counts(profile) == {shown: 6}
        assert profile.frames.module_of(0) == str(program)
