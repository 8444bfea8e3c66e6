"""V8's CPU profiles, alone and within traces: figures as speedscope's own importer counts them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from helpers.stack_counts import DATA, stack_counts, stack_periods
from tailflame.analyse.hotspots import hotspots
from tailflame.errors import ParseError
from tailflame.model import Recording, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.parse.cpuprofile import CPUPROFILE

NODE = DATA / "cpuprofile" / "node-20.20.2"


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def read(value: Any, path: Path) -> Recording:
    path.write_text(json.dumps(value))
    return load(path, format="cpuprofile")


def test_node_is_what_speedscope_counts() -> None:
    recording = load(NODE / "fib.cpuprofile")
    assert recording.format == "cpuprofile"
    table = hotspots(profile_of(recording), weight=Weight.PERIOD)
    ours = dict(zip(table.key, (table.self_weight / 1e3).tolist(), strict=True))
    peer = json.loads((NODE / "fib.peer.json").read_text())[0]["self"]
    for name, own in peer.items():
        if "(anonymous" not in name and name in ours:  # the peer tells those by their places
            assert ours[name] == pytest.approx(own, abs=2000)  # the peer gives the last sample no time
    assert {"fib", "sortMany", "(garbage collector)", "(program)"} <= set(peer) & set(ours)


def test_a_trace_tells_threads_and_holds_the_same() -> None:
    recording = load(NODE / "fib.trace.json")
    profile = profile_of(recording)
    assert [t.name for t in profile.threads] == ["JavaScriptMainThread"]
    assert {"fib", "sortMany"} <= set(profile.frames.names())
    # Two profiles were taken at a time: they do not count twice.
    assert "several profiles" in recording.warnings[0].text
    alone = profile_of(load(NODE / "traced.cpuprofile"))
    assert profile.total(weight=Weight.PERIOD) == pytest.approx(alone.total(weight=Weight.PERIOD), rel=0.05)


def node(number: int, name: str, *children: int, **more: Any) -> dict[str, Any]:
    call = {"functionName": name, "url": "file:///x.js", "lineNumber": 4, "columnNumber": 0}
    return {"id": number, "callFrame": call, "children": list(children)} | more


TREE = [node(1, "(root)", 2), node(2, "main", 3), node(3, "")]


def test_nodes_times_and_places(tmp_path: Path) -> None:
    value = {"nodes": TREE, "startTime": 100, "endTime": 170, "samples": [2, 3, 2], "timeDeltas": [10, 20, -5]}
    profile = profile_of(read(value, tmp_path / "x.cpuprofile"))
    # A sample lasts until the next one; a step back counts as none.
    assert stack_periods(profile) == {"main": 20_000 + 40_000, "main;(anonymous)": 0}
    assert profile.samples.time_ns.tolist() == [110_000, 130_000, 130_000]
    frame = profile.frames.names().index("main")
    assert profile.frames.place_of(frame) == "/x.js:5"


def test_hits_are_all_there_is_without_samples(tmp_path: Path) -> None:
    value = {"nodes": [node(1, "(root)", 2, hitCount=0), node(2, "main", hitCount=7)]}
    assert stack_counts(profile_of(read(value, tmp_path / "x.cpuprofile"))) == {"main": 7}


def test_chunks_of_a_trace_that_was_not_closed(tmp_path: Path) -> None:
    call = {"functionName": "main", "url": "", "lineNumber": -1}
    first = [{"id": 1, "callFrame": {"functionName": "(root)"}}, {"id": 2, "parent": 1, "callFrame": call}]
    events = [
        {"name": "thread_name", "ph": "M", "pid": 5, "tid": 6, "args": {"name": "main thread"}},
        {"name": "Profile", "ph": "P", "id": "0x1", "pid": 5, "tid": 6, "args": {"data": {"startTime": 10}}},
    ]
    chunk = {"name": "ProfileChunk", "ph": "P", "id": "0x1", "pid": 5, "tid": 9}
    events.append(chunk | {"args": {"data": {"cpuProfile": {"nodes": first, "samples": [2]}, "timeDeltas": [1]}}})
    events.append(chunk | {"args": {"data": {"cpuProfile": {"samples": [2, 2]}, "timeDeltas": [2, 3], "endTime": 20}}})
    path = tmp_path / "trace.json"
    path.write_text("[" + ",\n".join(json.dumps(event) for event in events) + ",\n")
    assert CPUPROFILE.sniff(path.read_bytes(), "x") > 0.8
    profile = profile_of(load(path, format="cpuprofile"))
    assert profile.threads == (Thread("main thread", 5, 6),)
    assert stack_periods(profile) == {"main": 9_000}


def test_any_encoding_and_names_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.cpuprofile"
    text = json.dumps({"nodes": [node(1, "(root)", 2, hitCount=0), node(2, "main", hitCount=7)]})
    for content in (text.encode("utf-8-sig"), text.encode("utf-16")):
        path.write_bytes(content)
        assert stack_counts(profile_of(load(path))) == {"main": 7}
    path.write_bytes(text.replace("main", "caf\xe9").encode("latin-1"))
    assert stack_counts(profile_of(load(path))) == {r"caf\xe9": 7}


@pytest.mark.parametrize(
    "value",
    [
        {"nodes": TREE, "samples": [9], "timeDeltas": [1]},
        {"nodes": TREE, "samples": [2], "timeDeltas": []},
        {"nodes": TREE, "samples": [2], "timeDeltas": ["x"]},
        {"nodes": TREE, "samples": [2], "timeDeltas": [-5]},
        {"nodes": TREE, "samples": [2], "timeDeltas": [1e300]},
        {"nodes": TREE, "samples": [[2]], "timeDeltas": [1]},
        {"nodes": [node(1, "a", 2), node(2, "b", 1)], "samples": [2], "timeDeltas": [1]},
        {"nodes": [node(1, "a", 3), node(2, "b", 3), node(3, "c")], "samples": [2], "timeDeltas": [1]},
        {"nodes": [node(1, "a"), node(1, "b")]},
        {"nodes": [{"id": 1}], "samples": [1], "timeDeltas": [1]},
        {"nodes": [7]},
        {"other": 1},
    ],
)
def test_damage_is_told_in_a_sentence(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="is not a CPU profile of V8") as told:
        read(value, tmp_path / "x.cpuprofile")
    assert told.value.advice


def test_a_trace_without_a_profile_says_what_to_record(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="no samples of a CPU profile") as told:
        read({"traceEvents": [{"name": "x", "ph": "X"}, 3]}, tmp_path / "x.json")
    assert "v8.cpu_profiler" in told.value.advice


def test_every_prefix_fails_politely(tmp_path: Path) -> None:
    whole = (NODE / "fib.cpuprofile").read_bytes()
    path = tmp_path / "cut.cpuprofile"
    for size in random.Random(3).sample(range(1, len(whole)), 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ParseError):
            load(path, format="cpuprofile")


@pytest.mark.parametrize("head", [b"", b"main 1", b'{"traceEvents":[]}', b'{"meta":{"x":1}}', b'[{"a":1}]'])
def test_other_files_are_not_taken(head: bytes) -> None:
    assert CPUPROFILE.sniff(head, "x.cpuprofile") < 0
