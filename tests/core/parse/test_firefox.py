"""Firefox Profiler's files: figures as the profiler's own code counts them, in old and new layouts."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from helpers.stack_counts import DATA, stack_counts
from tailflame.analyse.hotspots import hotspots
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording, StackProfile
from tailflame.parse import firefox_tables, load
from tailflame.parse.firefox import FIREFOX, NEWEST
from tailflame.parse.symbolize.elf_file import open_elf
from tailflame.units import Unit

SAMPLY = DATA / "firefox" / "samply-0.13.1" / "trading.json.gz"
NEW = DATA / "firefox" / "profiler-70" / "trading.json.gz"
GECKO = DATA / "firefox" / "profiler-70" / "gecko-13.json"


@pytest.fixture
def nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples name libraries that this machine may have."""
    monkeypatch.setattr(firefox_tables, "named_frames", lambda *_, **__: {})


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def document(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


def read(value: Any, path: Path) -> Recording:
    path.write_text(json.dumps(value))
    return load(path, format="firefox")


@pytest.mark.usefixtures("nothing_is_looked_up")
@pytest.mark.parametrize("path", [SAMPLY, NEW], ids=["version 49", "version 70"])
def test_samply_is_what_the_profiler_counts(path: Path) -> None:
    recording = load(path)
    assert recording.format == "firefox"
    profile = profile_of(recording)
    peers = [peer for peer in json.loads(SAMPLY.with_name("trading.peer.json").read_text())["threads"] if peer["self"]]
    assert len(peers) == 3
    for peer in peers:
        number = next(n for n, t in enumerate(profile.threads) if t.tid == int(str(peer["tid"]).partition(".")[0]))
        table = hotspots(profile, threads=frozenset({number}), inlines=True)
        own = dict(zip(table.key, table.self_weight.tolist(), strict=True))
        assert {name: weight for name, weight in own.items() if weight} == peer["self"]
        totals = dict(zip(table.key, table.total_weight.tolist(), strict=True))
        assert {name: weight for name, weight in totals.items() if weight} == peer["total"]


@pytest.mark.usefixtures("nothing_is_looked_up")
def test_what_else_samply_tells() -> None:
    recording = load(SAMPLY)
    profile = profile_of(recording)
    assert [(e.unit, e.has_period) for e in profile.events] == [(Unit.NANOSECONDS, True)]  # time on the CPU
    assert profile.in_time_order and (profile.samples.time_ns >= 0).all()
    assert recording.meta.rate_asked_hz == pytest.approx(499)
    modules = {
        profile.frames.module_of(frame): FrameKind(int(profile.frames.kind[frame]))
        for frame in range(len(profile.frames))
    }
    assert modules["/opt/trading/trading-system"] is FrameKind.USER
    assert modules["[kernel.kallsyms]"] is FrameKind.KERNEL
    assert dict(recording.meta.build_ids)["[kernel.kallsyms]"].startswith("e4f18d9d")
    assert any("bare addresses" in told.text for told in recording.warnings)


def test_raw_profiles_of_firefox_with_their_processes() -> None:
    profile = profile_of(load(GECKO))
    assert load(GECKO).format == "firefox"
    raw = json.loads(GECKO.read_text())
    threads = raw["threads"] + [t for process in raw["processes"] for t in process["threads"]]
    expected: Counter[str] = Counter()
    for thread in threads:
        stacks, frames, strings = thread["stackTable"]["data"], thread["frameTable"]["data"], thread["stringTable"]
        for row in thread["samples"]["data"]:
            path, at = [], row[0]
            while at is not None:
                path.append(strings[frames[stacks[at][1]][0]])
                at = stacks[at][0]
            expected[";".join(reversed(path))] += 1
    names = {stack.partition(" (")[0]: count for stack, count in stack_counts(profile).items()}
    assert sum(names.values()) == sum(expected.values()) == 21
    assert {stack for stack in names if "(" not in stack and "Promise" not in stack} <= set(expected)


def thread_of(**changes: Any) -> dict[str, Any]:
    """A thread of version 24, before anything was shared: main calls work, into which f is inlined."""
    return {
        "name": "t",
        "pid": "12.1",
        "tid": "34",
        "stringArray": ["main", "work", "f", "lib.so", "a.c"],
        "libs": [{"name": "lib.so", "path": "/lib/lib.so", "codeId": None}],
        "stackTable": {"frame": [0, 1, 2], "prefix": [None, 0, 1], "length": 3},
        "frameTable": {"func": [0, 1, 2], "line": [3, None, 5], "inlineDepth": [0, 0, 1], "length": 3},
        "funcTable": {"name": [0, 1, 2], "fileName": [4, None, 4], "resource": [0, 0, -1], "isJS": [False] * 3},
        "resourceTable": {"lib": [0], "name": [3], "type": [1], "length": 1},
        "samples": {"stack": [2, None, 1], "timeDeltas": [1, 1, 1.5], "weight": None, "length": 3},
    } | changes


def file_of(*threads: dict[str, Any], version: int = 24) -> dict[str, Any]:
    return {"meta": {"preprocessedProfileVersion": version, "interval": 1}, "threads": list(threads)}


def test_tables_of_a_thread(tmp_path: Path) -> None:
    profile = profile_of(read(file_of(thread_of()), tmp_path / "x.json"))
    assert stack_counts(profile) == {"main;work;f": 1, "": 1, "main;work": 1}
    assert profile.samples.time_ns.tolist() == [1_000_000, 2_000_000, 3_500_000]
    assert [(t.name, t.pid, t.tid) for t in profile.threads] == [("t", 12, 34)]
    frames = {name: at for at, name in enumerate(profile.frames.names())}
    assert profile.frames.place_of(frames["main"]) == "a.c:3"
    assert profile.frames.module_of(frames["work"]) == "/lib/lib.so"
    assert profile.frames.kind[frames["f"]] == FrameKind.INLINED


@pytest.mark.parametrize(("kind", "unit", "factor"), [("tracing-ms", Unit.NANOSECONDS, 1e6), ("bytes", Unit.BYTES, 1)])
def test_weights_that_are_no_samples(tmp_path: Path, kind: str, unit: Unit, factor: float) -> None:
    samples = {"stack": [2, 0, 1], "time": [1, 2, 3], "weight": [2, -1, 0.5], "weightType": kind}
    recording = read(file_of(thread_of(samples=samples)), tmp_path / "x.json")
    profile = profile_of(recording)
    assert (profile.events[0].unit, profile.total()) == (unit, 2.5 * factor)
    told = " ".join(caution.text for caution in recording.warnings)
    assert "difference" in told and "number of samples" in told


PROGRAM = """
static volatile int sink;
static inline __attribute__((always_inline)) void inner(int n) { sink += n * 3; }
__attribute__((noinline)) void outer(int n) { for (int i = 0; i < n; i++) inner(i); }
int main(void) { outer(3); return 0; }
"""


@pytest.mark.tool("gcc")
@pytest.mark.parametrize("options", [[], ["-no-pie"]], ids=["pie", "no pie"])
def test_bare_addresses_are_looked_up_where_the_file_is_still_there(tmp_path: Path, options: list[str]) -> None:
    """samply writes addresses from the image's base, and no names."""
    (tmp_path / "p.c").write_text(PROGRAM)
    program = tmp_path / "p"
    words = ["gcc", "-O1", "-g", "-Wl,--build-id", *options, "-o", str(program), "p.c"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    elf = open_elf(program)
    listed = subprocess.run(["nm", str(program)], check=True, capture_output=True, text=True, timeout=60).stdout
    start = next(int(line.split()[0], 16) for line in listed.splitlines() if line.endswith(" T outer"))
    base = int(elf.segments["vaddr"][elf.segments["offset"] == 0][0])
    assert (base > 0) is bool(options)
    # Any byte of the function's first half of a hundred may be of the inlined one: all that are named are looked at.
    addresses = [start - base + step for step in range(24)]
    strings = [f"0x{address:x}" for address in addresses]
    rows = len(addresses)
    for build_id, known in ((elf.build_id(), True), ("00" * 20, False)):
        thread = thread_of(
            stringArray=strings,
            libs=[{"name": "p", "path": str(program), "codeId": build_id}],
            stackTable={"frame": list(range(rows)), "prefix": [None] * rows},
            frameTable={"func": list(range(rows)), "address": addresses, "lib": [0] * rows},
            funcTable={"name": list(range(rows))},
            samples={"stack": list(range(rows)), "time": list(range(rows)), "weight": None},
        )
        recording = read(file_of(thread), tmp_path / "x.json")
        stacks = stack_counts(profile_of(recording))
        assert sum(stacks.values()) == rows
        if known:
            assert set(stacks) <= {"outer", "outer;inner"} and "outer;inner" in stacks
            frames = profile_of(recording).frames
            assert frames.file_of(frames.names().index("inner")).endswith("p.c")
            assert not recording.warnings
        else:  # another build at the same place
            assert set(stacks) == set(strings)
            assert "bare addresses" in recording.warnings[0].text


def test_versions_that_are_too_old_or_too_new(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="older than 24") as refused:
        read(file_of(thread_of(), version=23), tmp_path / "x.json")
    assert "profiler.firefox.com" in refused.value.advice
    newer = read(file_of(thread_of(), version=NEWEST + 1), tmp_path / "x.json")
    assert "newer than" in newer.warnings[-1].text


@pytest.mark.parametrize(
    "changes",
    [
        {"stackTable": {"frame": [0, 9], "prefix": [None, 0]}},
        {"stackTable": {"frame": [0, 1], "prefix": [1, 0]}},
        {"stackTable": {"frame": [0, 1], "prefix": [None, 7]}},
        {"stackTable": {"frame": [0, 1], "prefix": [None]}},
        {"stackTable": {"frame": [0, 1], "prefixOffset": [0, 2**40]}},
        {"stackTable": None},
        {"frameTable": {"func": [0, None]}},
        {"frameTable": {"func": ["x"]}},
        {"frameTable": {"func": [[0]]}},
        {"funcTable": {"name": [99]}},
        {"stringArray": None},
        {"samples": {"stack": [99]}},
        {"samples": {"stack": [1e300]}},
        {"samples": {"stack": [0], "time": ["x"]}},
        {"samples": {"stack": [0], "weight": [1, 2]}},
        {"samples": None},
        {"resourceTable": {"lib": [5]}},
    ],
)
def test_damage_is_told_in_a_sentence(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="is not a profile of the Firefox Profiler") as told:
        read(file_of(thread_of(**changes)), tmp_path / "x.json")
    assert told.value.advice


def test_no_changed_value_does_more_than_fail(tmp_path: Path) -> None:
    """Values anywhere in a real file replaced by what does not belong there."""
    chance = random.Random(11)
    text = json.dumps(document(NEW))
    odd = (None, -1, -(2**40), 2**70, 1.5, "x", [], {}, [[1]], True, float("1e308"))
    for _ in range(60):
        value = json.loads(text)
        for _ in range(3):
            at: Any = value
            while True:
                keys = list(at) if isinstance(at, dict) else range(len(at))
                if not keys:
                    break
                key = chance.choice(list(keys))
                if not isinstance(at[key], dict | list) or chance.random() < 0.1:
                    at[key] = deepcopy(chance.choice(odd))
                    break
                at = at[key]
        try:
            read(value, tmp_path / "x.json")
        except ParseError as error:
            assert error.sentence


def test_every_prefix_fails_politely(tmp_path: Path) -> None:
    whole = SAMPLY.read_bytes()
    path = tmp_path / "cut.json.gz"
    for size in random.Random(3).sample(range(1, len(whole)), 30):
        path.write_bytes(whole[:size])
        with pytest.raises(ParseError):
            load(path, format="firefox")


@pytest.mark.parametrize("head", [b"", b"main 1", b'{"meta":{}}', b'{"traceEvents":[]}', b'{"shared":{"frames":[]}}'])
def test_other_files_are_not_taken(head: bytes) -> None:
    assert FIREFOX.sniff(head, "profile.json.gz") < 0
