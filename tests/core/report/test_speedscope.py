"""Speedscope files satisfy speedscope's own schema and hold every sample.

The demo's export was also checked by hand with ajv 8 against the schema of speedscope 1.25.0: valid.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from helpers.stack_counts import DATA, stack_counts
from helpers.stacks import profile
from tailflame.model import Event, StackBuilder, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.report import speedscope
from tailflame.units import Unit

SCHEMA = json.loads((DATA / "speedscope" / "1.25.0" / "file-format-schema.json").read_text())
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
}


def check(value: Any, schema: dict[str, Any], place: str = "$") -> None:
    """Asserts that `value` satisfies `schema`: as much of JSON Schema as speedscope's uses."""
    known = {
        "$ref",
        "anyOf",
        "const",
        "enum",
        "items",
        "properties",
        "required",
        "title",
        "type",
        "$schema",
        "definitions",
    }
    assert schema.keys() <= known, "the schema uses a word that is not checked here"
    if "$ref" in schema:
        check(value, SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")], place)
    if "anyOf" in schema:
        failures = []
        for choice in schema["anyOf"]:
            try:
                check(value, choice, place)
            except AssertionError as failure:
                failures.append(str(failure))
        assert len(failures) < len(schema["anyOf"]), f"{place}: {failures}"
    if "const" in schema:
        assert value == schema["const"], place
    if "enum" in schema:
        assert value in schema["enum"], place
    if "type" in schema:
        assert isinstance(value, TYPES[schema["type"]]), place
    for name in schema.get("required", ()):
        assert name in value, f"{place} lacks {name}"
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            check(value[name], inner, f"{place}.{name}")
    for number, item in enumerate(value if "items" in schema else ()):
        check(item, schema["items"], f"{place}[{number}]")


def written(what: StackProfile, **options: Any) -> dict[str, Any]:
    stream = io.StringIO()
    speedscope.write(what, stream, **options)
    document: dict[str, Any] = json.loads(stream.getvalue())
    check(document, SCHEMA)
    for one in document["profiles"]:
        assert len(one["samples"]) == len(one["weights"])
        assert sum(one["weights"]) == pytest.approx(one["endValue"])
        frames = [frame for sample in one["samples"] for frame in sample]
        assert all(0 <= frame < len(document["shared"]["frames"]) for frame in frames)
    return document


def stacks(document: dict[str, Any], number: int = 0) -> list[tuple[str, float]]:
    names = [frame["name"] for frame in document["shared"]["frames"]]
    one = document["profiles"][number]
    return [
        (";".join(names[f] for f in sample), weight)
        for sample, weight in zip(one["samples"], one["weights"], strict=True)
    ]


def test_the_check_itself_refuses() -> None:
    with pytest.raises(AssertionError, match="lacks shared"):
        check(
            {"$schema": SCHEMA["definitions"]["FileFormat.File"]["properties"]["$schema"]["const"], "profiles": []},
            SCHEMA,
        )
    with pytest.raises(AssertionError):
        check({"$schema": "x", "profiles": [], "shared": {"frames": []}}, SCHEMA)


def test_the_demo() -> None:
    before = load(DATA / "flamegraph" / "stacks.folded").profile
    assert before is not None
    document = written(before, name="demo")
    assert document["name"] == "demo"
    assert document["exporter"].startswith("tailflame@")
    assert dict(stacks(document)) == stack_counts(before)
    assert document["profiles"][0]["unit"] == "none"


def test_a_profile_per_thread_the_busiest_first() -> None:
    builder = StackBuilder()
    for name, tid, count in (("idle", 1, 1), ("busy", 2, 9), ("idle", 1, 2)):
        leaf = builder.stack([builder.frame("main"), builder.frame(name)])
        builder.sample(leaf, count=count, thread=builder.thread(Thread(name, 1, tid)))
    document = written(builder.build())
    assert [p["name"] for p in document["profiles"]] == ["busy (2)", "idle (1)"]
    assert stacks(document, 1) == [("main;idle", 3)]


def test_the_order_of_time_stays_where_there_is_one() -> None:
    text = "a;b 1\na;b 2\na;c 3\na;b 4"
    assert stacks(written(profile(text, in_time_order=True))) == [("a;b", 3), ("a;c", 3), ("a;b", 4)]
    assert stacks(written(profile(text))) == [("a;b", 7), ("a;c", 3)]


@pytest.mark.parametrize(
    ("unit", "word"), [(Unit.NANOSECONDS, "nanoseconds"), (Unit.BYTES, "bytes"), (Unit.EVENTS, "none")]
)
def test_units(unit: Unit, word: str) -> None:
    builder = StackBuilder(events=[Event("e", unit, has_period=True)])
    builder.sample(builder.stack([builder.frame("a")]), count=2, period=0.5)
    document = written(builder.build(), weight=Weight.PERIOD)
    assert (document["profiles"][0]["unit"], document["profiles"][0]["endValue"]) == (word, 0.5)
    assert written(builder.build())["profiles"][0]["unit"] == "none"


def test_frames_keep_their_source_lines_and_awkward_names() -> None:
    builder = StackBuilder()
    frames = [
        builder.frame('a"\\\n;</script>', file="src/main.rs", line=7),
        builder.frame("b", file="x.rs"),
        builder.frame("c"),
    ]
    builder.sample(builder.stack(frames))
    assert written(builder.build())["shared"]["frames"] == [
        {"name": 'a"\\\n;</script>', "file": "src/main.rs", "line": 7},
        {"name": "b", "file": "x.rs"},
        {"name": "c"},
    ]


def test_samples_without_a_stack_and_of_other_events() -> None:
    builder = StackBuilder(events=[Event("cycles"), Event("faults")])
    builder.sample(-1, count=4)
    builder.sample(builder.stack([builder.frame("a")]), count=1, event=1)
    assert stacks(written(builder.build())) == [("", 4)]
    assert stacks(written(builder.build(), event=1)) == [("a", 1)]


def test_nothing_is_a_valid_file() -> None:
    assert stacks(written(StackBuilder().build())) == []


def test_many_samples_go_line_by_line() -> None:
    document = written(profile("\n".join(f"a;f{i} 1" for i in range(2500))))
    assert len(document["profiles"][0]["samples"]) == 2500
