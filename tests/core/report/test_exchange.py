"""What is exported says the same when it is read back, and says the same to the tools it is for."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers.stack_counts import DATA
from tailflame.analyse.counted import as_counted
from tailflame.model import Event, FrameKind, Meta, StackBuilder, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.report import firefox, folded, pprof, speedscope
from tailflame.units import Unit

SAMPLES = {
    "Go's CPU profile": DATA / "pprof" / "go-1.26.8" / "cpu.pb.gz",
    "Go's heap profile": DATA / "pprof" / "go-1.26.8" / "heap.pb.gz",
    "pprof-rs": DATA / "pprof" / "pprof-rs-0.15" / "pprof-rs.pb",
    "samply": DATA / "firefox" / "samply-0.13.1" / "trading.json.gz",
    "py-spy": DATA / "speedscope" / "py-spy-0.4.3" / "pyspy.speedscope.json",
    "node": DATA / "cpuprofile" / "node-20.20.2" / "fib.cpuprofile",
    "callgrind": DATA / "callgrind" / "3.19.0" / "recursive.out.gz",
    "folded": DATA / "flamegraph" / "stacks.folded",
}


def made() -> StackProfile:
    """Two events, threads that share a name, inlined frames, odd names, samples without a stack or a thread."""
    chance = random.Random(4)
    b = StackBuilder(events=[Event("cycles", Unit.EVENTS, True), Event("faults")])
    main = b.frame("main", module="/bin/app", file="/src/a.c", line=3)
    names = ["f;g 1", "ünï “x”", "", "tab\there", "\ud800"]
    frames = [b.frame(n, module="/lib/l.so" if i % 2 else "", line=-1) for i, n in enumerate(names)]
    inlined = b.frame("inner", module="/bin/app", file="/src/b.h", line=9, kind=FrameKind.INLINED)
    kernel = b.frame("sys", module="[kernel.kallsyms]", kind=FrameKind.KERNEL)
    threads = [b.thread(Thread("w", 10, 11)), b.thread(Thread("w", 10, 12)), b.thread(Thread("", -1, 13)), -1]
    for at in range(300):
        path = [main, inlined, chance.choice(frames), *[chance.choice([inlined, kernel, main])] * chance.randrange(3)]
        stack = b.stack(path[: chance.randrange(len(path) + 1)])
        count = float(chance.randrange(1, 4))
        event = chance.randrange(2)
        b.sample(
            stack,
            count=count,
            period=count * 1000 if event == 0 else None,
            time_ns=10**9 + at * 1000,
            thread=chance.choice(threads),
            event=event,
        )
    return b.build(in_time_order=True)


def totals(profile: StackProfile, event: int, weight: Weight) -> dict[tuple[str, int, int, str], float]:
    """Weight by thread and stack, in the words of the profile."""
    found: Counter[tuple[str, int, int, str]] = Counter()
    names = [name.encode("utf-8", "backslashreplace").decode() for name in profile.frames.names()]
    weights = profile.weights(event=event, weight=weight)
    for stack, thread, value in zip(
        profile.samples.stack.tolist(), profile.samples.thread.tolist(), weights.tolist(), strict=True
    ):
        if value:
            who = profile.threads[thread] if thread >= 0 else Thread("")
            path = ";".join(names[int(profile.stacks.frame[row])] for row in profile.stacks.path(stack))
            found[who.name, who.pid, who.tid, path] += value
    return dict(found)


def profile_of(path: Path) -> StackProfile:
    profile = load(path).profile
    assert profile is not None
    return profile


@pytest.fixture(params=[*SAMPLES, "made"])
def original(request: pytest.FixtureRequest) -> StackProfile:
    return made() if request.param == "made" else profile_of(SAMPLES[request.param])


def test_pprof_keeps_every_event_thread_and_stack(original: StackProfile, tmp_path: Path) -> None:
    told = pprof.write(original, tmp_path / "x.pb.gz")
    again = profile_of(tmp_path / "x.pb.gz")
    assert {e.name: (e.unit, e.has_period) for e in again.events} == {
        e.name: (e.unit, e.has_period) for e in original.events
    }
    assert again.events[0].name == original.events[0].name
    assert as_counted(again, 0).exact == as_counted(original, 0).exact
    fractions = bool(told)
    for event, known in enumerate(original.events):
        for weight in Weight:
            other = [e.name for e in again.events].index(known.name)
            first, second = totals(original, event, weight), totals(again, other, weight)
            if not fractions:
                assert second == first
            assert sum(second.values()) == pytest.approx(sum(first.values()), abs=0.51)


def test_pprof_rounds_function_by_function(tmp_path: Path) -> None:
    """callgrind's shared-out costs are fractions, but a function's sum is whole."""
    original = profile_of(SAMPLES["callgrind"])
    assert "whole numbers" in pprof.write(original, tmp_path / "x.pb.gz")[0].text
    again = profile_of(tmp_path / "x.pb.gz")

    def by_function(profile: StackProfile) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (_, _, _, path), value in totals(profile, 0, Weight.PERIOD).items():
            found[path.rpartition(";")[2]] += value  # type: ignore[assignment]
        return {name: round(value) for name, value in found.items() if round(value)}

    assert by_function(again) == by_function(original)


def test_firefox_keeps_every_thread_and_stack(original: StackProfile, tmp_path: Path) -> None:
    for event in range(min(len(original.events), 2)):
        for weight in Weight:
            firefox.write(original, tmp_path / "x.json", event=event, weight=weight)
            again = profile_of(tmp_path / "x.json")
            assert again.unit(weight=Weight.PERIOD) is original.unit(event=event, weight=weight) or (
                original.unit(event=event, weight=weight) is Unit.EVENTS
            )
            assert totals(
                again, 0, Weight.SAMPLES if again.unit(weight=Weight.PERIOD) is Unit.SAMPLES else Weight.PERIOD
            ) == (pytest.approx(totals(original, event, weight)))


def test_firefox_keeps_times_places_and_kinds(tmp_path: Path) -> None:
    original = made()
    firefox.write(
        original,
        tmp_path / "x.json.gz",
        meta=Meta(build_ids=(("/bin/app", "00112233445566778899aabbccddeeff01020304"),)),
    )
    assert (tmp_path / "x.json.gz").read_bytes()[:2] == b"\x1f\x8b"
    recording = load(tmp_path / "x.json.gz")
    again = recording.profile
    assert again is not None
    chosen = original.samples.event == 0
    assert again.samples.time_ns == pytest.approx(original.samples.time_ns[chosen] - original.samples.time_ns.min())
    assert ("/bin/app", "00112233445566778899aabbccddeeff01020304") in recording.meta.build_ids
    lib = next(
        lib for lib in json.loads(gzip.decompress((tmp_path / "x.json.gz").read_bytes()))["libs"] if lib["codeId"]
    )
    assert lib["breakpadId"] == "33221100554477668899AABBCCDDEEFF0"
    known = {name: at for at, name in enumerate(again.frames.names())}
    assert again.frames.place_of(known["main"]) == "/src/a.c:3"
    kinds = [FrameKind(int(again.frames.kind[known[name]])) for name in ("main", "inner", "sys")]
    assert kinds == [FrameKind.USER, FrameKind.INLINED, FrameKind.KERNEL]


def test_speedscope_keeps_every_thread_and_stack(original: StackProfile, tmp_path: Path) -> None:
    for weight in Weight:
        speedscope.write(original, tmp_path / "x.json", weight=weight)
        again = profile_of(tmp_path / "x.json")
        shown = Weight.PERIOD if again.events[0].has_period else Weight.SAMPLES

        def known(profile: StackProfile, by: Weight) -> dict[tuple[str, int, str], float]:
            found: Counter[tuple[str, int, str]] = Counter()  # it has no process numbers
            for (name, _, tid, path), value in totals(profile, 0, by).items():
                found[name, tid, path] += value  # type: ignore[assignment]
            return dict(found)

        assert known(again, shown) == pytest.approx(known(original, weight))


def test_folded_is_read_by_whoever_reads_it(original: StackProfile, tmp_path: Path) -> None:
    with (tmp_path / "x.folded").open("w", encoding="utf-8") as stream:
        folded.write(original, stream)
    assert profile_of(tmp_path / "x.folded").total() == pytest.approx(original.total(), rel=1e-6)


def test_an_empty_profile_is_no_trouble(tmp_path: Path) -> None:
    nothing = StackBuilder().build()
    pprof.write(nothing, tmp_path / "x.pb.gz")
    assert profile_of(tmp_path / "x.pb.gz").total() == 0
    stream = io.BytesIO()
    firefox.write(nothing, stream)
    assert json.loads(stream.getvalue())["threads"][0]["samples"]["length"] == 0


def test_stacks_ten_thousand_deep(tmp_path: Path) -> None:
    b = StackBuilder()
    b.sample(b.stack([b.frame("f"), b.frame("g")] * 5000), count=2)
    deep = b.build()
    pprof.write(deep, tmp_path / "x.pb.gz")
    firefox.write(deep, tmp_path / "x.json")
    for name in ("x.pb.gz", "x.json"):
        again = profile_of(tmp_path / name)
        assert (again.total(), int(again.stacks.depths().max())) == (2, 9999)


def test_go_tool_pprof_counts_the_same(tmp_path: Path) -> None:
    """The peer itself, where Go is installed."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    original = profile_of(SAMPLES["samply"])
    meta = load(SAMPLES["samply"]).meta
    pprof.write(original, tmp_path / "x.pb.gz", meta=meta)
    options = ("-top", "-nodefraction=0", "-nodecount=100000", "-symbolize=none", "-sample_index=samples_samples")
    try:
        done = subprocess.run(
            [go, "tool", "pprof", *options, str(tmp_path / "x.pb.gz")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"LC_ALL": "C", "GOTOOLCHAIN": "local"},
        )
    except subprocess.TimeoutExpired:
        pytest.skip("go builds its pprof when it is first asked for, which takes too long here")
    if "no such tool" in done.stderr:
        pytest.skip("this go has no pprof")
    assert not done.returncode, done.stderr
    told = {
        row[3]: int(row[1])
        for line in done.stdout.splitlines()
        if (
            row := re.fullmatch(
                r"\s*(\d+)\s+[\d.]+%\s+[\d.]+%\s+(\d+)\s+[\d.]+%\s+(.*?)(?: \((?:partial-)?inline\))?", line
            )
        )
    }
    own: Counter[str] = Counter()
    for (_, _, _, path), value in totals(original, 0, Weight.SAMPLES).items():
        own[path.rpartition(";")[2]] += int(value)
    assert {name: value for name, value in told.items() if value} == dict(own)
    assert "File: trading-system" in done.stdout  # the program comes first


def test_names_of_columns_are_apart(tmp_path: Path) -> None:
    """pprof chooses by name; two events may share one."""
    original = made()
    same = StackProfile(
        original.frames, original.stacks, original.samples, original.threads, (original.events[0], Event("cycles"))
    )
    pprof.write(same, tmp_path / "x.pb.gz")
    assert [e.name for e in profile_of(tmp_path / "x.pb.gz").events] == ["cycles", "cycles#2"]
    assert np.unique(original.samples.event).tolist() == [0, 1]
