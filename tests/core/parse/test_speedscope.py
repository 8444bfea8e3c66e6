"""speedscope files of py-spy and of hand: figures as speedscope's own importer counts them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stack_counts import DATA, stack_counts, stack_periods
from tailflame.analyse.hotspots import hotspots
from tailflame.errors import ParseError
from tailflame.model import Recording, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.parse.speedscope import SPEEDSCOPE
from tailflame.units import Unit

PYSPY = DATA / "speedscope" / "py-spy-0.4.3"


def read(document: Any, path: Path) -> Recording:
    path.write_text(json.dumps(document))
    return load(path, format="speedscope")


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def file_of(*profiles: dict[str, Any], frames: tuple[str, ...] = ("a", "b", "c")) -> dict[str, Any]:
    return {"shared": {"frames": [{"name": name, "file": "x.py", "line": 3} for name in frames]}, "profiles": profiles}


def sampled(samples: list[list[int]], weights: list[float], unit: str = "none", name: str = "t") -> dict[str, Any]:
    return {"type": "sampled", "name": name, "unit": unit, "startValue": 0, "samples": samples, "weights": weights}


def evented(*events: tuple[str, int, float], unit: str = "milliseconds") -> dict[str, Any]:
    told = [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events]
    return {"type": "evented", "name": "t", "unit": unit, "startValue": 0, "endValue": 9, "events": told}


def test_py_spy_is_what_speedscope_counts() -> None:
    recording = load(PYSPY / "pyspy.speedscope.json")
    assert recording.format == "speedscope"
    profile = profile_of(recording)
    assert [(e.unit, e.has_period) for e in profile.events] == [(Unit.NANOSECONDS, True)]
    assert "worker two" in [thread.name for thread in profile.threads]
    for peer in json.loads((PYSPY / "speedscope.peer.json").read_text()):
        number = next(n for n, t in enumerate(profile.threads) if f"Thread {t.tid} " in peer["name"])
        table = hotspots(profile, weight=Weight.PERIOD, threads=frozenset({number}))
        ours = dict(zip(table.key, (table.self_weight / 1e9).tolist(), strict=True))
        assert {name: own for name, own in ours.items() if own} == pytest.approx(peer["self"])


def test_counts_and_threads(tmp_path: Path) -> None:
    document = file_of(
        sampled([[0, 1], [], [0]], [2, 1, 3], name="worker (77)"), sampled([[2]], [4], name='Thread 5 "x"')
    )
    profile = profile_of(read(document, tmp_path / "x.json"))
    assert stack_counts(profile) == {"a;b": 2, "": 1, "a": 3, "c": 4}
    assert profile.threads == (Thread("worker", -1, 77), Thread("x", -1, 5))
    assert profile.frames.place_of(0) == "x.py:3"
    assert not profile.in_time_order


def test_time_is_in_order_and_in_nanoseconds(tmp_path: Path) -> None:
    profile = profile_of(read(file_of(sampled([[0], [1]], [2, 0.5], "milliseconds")), tmp_path / "x.json"))
    assert stack_periods(profile) == {"a": 2e6, "b": 0.5e6}
    assert stack_counts(profile) == {"a": 1, "b": 1}
    assert profile.samples.time_ns.tolist() == [0, 2_000_000]
    assert profile.in_time_order


def test_what_was_traced_weighs_by_its_time(tmp_path: Path) -> None:
    events = (("O", 0, 0), ("O", 1, 1), ("C", 1, 3), ("O", 1, 4), ("C", 1, 5), ("C", 0, 6), ("O", 2, 7), ("C", 2, 8))
    recording = read(file_of(evented(*events)), tmp_path / "x.json")
    assert stack_periods(profile_of(recording)) == {"a": 3e6, "a;b": 3e6, "c": 1e6}
    assert "traced" in recording.warnings[0].text


@pytest.mark.parametrize(
    "profile",
    [
        sampled([[9]], [1]),
        sampled([[-1]], [1]),
        sampled([[0]], [1, 2]),
        sampled([["a"]], [1]),  # type: ignore[list-item]
        sampled([[0]], ["x"]),  # type: ignore[list-item]
        sampled([[0]], [1e308], "seconds"),
        sampled([[0]], [1], "parsecs"),
        {"type": "else", "unit": "none"},
        evented(("O", 0, 0), ("C", 1, 1)),
        evented(("O", 0, 5), ("C", 0, 1)),
        evented(("O", 7, 0)),
        evented(("C", 0, 0)),
        {"type": "evented", "unit": "none", "events": [{}]},
        7,
    ],
)
def test_damage_is_told_in_a_sentence(profile: Any, tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="is not a speedscope file") as told:
        read(file_of(profile), tmp_path / "x.json")
    assert told.value.advice


def test_every_prefix_fails_politely(tmp_path: Path) -> None:
    whole = (PYSPY / "pyspy.speedscope.json").read_bytes()
    path = tmp_path / "cut.speedscope.json"
    for size in random.Random(3).sample(range(1, len(whole)), 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ParseError):
            load(path, format="speedscope")


def test_stacks_ten_thousand_deep(tmp_path: Path) -> None:
    deep = [0] * 10_000
    events = [("O", 0, 0.0)] * 9_000 + [("C", 0, 1.0)] * 9_000
    profile = profile_of(read(file_of(sampled([deep], [1]), evented(*events, unit="none")), tmp_path / "x.json"))
    assert profile.total() == 2
    assert int(profile.stacks.depths().max()) == 9_999


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["unit", "type", "name"]), inner),
    max_leaves=6,
)


@given(samples=JSON, weights=JSON, frames=JSON)
def test_any_values(tmp_path_factory: pytest.TempPathFactory, samples: Any, weights: Any, frames: Any) -> None:
    profile = {"type": "sampled", "unit": "none", "samples": samples, "weights": weights}
    path = tmp_path_factory.getbasetemp() / "any.speedscope.json"
    try:
        read({"shared": {"frames": frames}, "profiles": [profile]}, path)
    except ParseError as error:
        assert error.sentence


@pytest.mark.parametrize("head", [b"", b"main;speedscope 1", b"[]", b'{"traceEvents":[]}', b'{"nodes":[]}'])
def test_other_files_are_not_taken(head: bytes) -> None:
    assert SPEEDSCOPE.sniff(head, "x.speedscope.json") < 0
