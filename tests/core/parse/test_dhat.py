"""dhat.out: the sums are the totals that DHAT prints, stacks stand root first, and damage is one sentence."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, HeapTimeline, TimeUnit
from tailflame.parse import load
from tailflame.parse.dhat import AD_HOC, COPIED, DHAT, READ, WRITTEN
from tailflame.parse.formats import FORMATS
from tailflame.units import Unit

VALGRIND = DATA / "dhat" / "3.19.0"
_TOTAL = re.compile(
    r"(Total|At t-gmax|At t-end|Reads|Writes): +([\d,]+) (?:bytes|units)(?: in ([\d,]+) (?:blocks|events))?"
)

SMALL: dict[str, Any] = {
    "dhatFileVersion": 2,
    "mode": "heap",
    "verb": "Allocated",
    "bklt": True,
    "bkacc": True,
    "tu": "instrs",
    "cmd": "./engine 5",
    "pid": 7,
    "te": 900,
    "tg": 500,
    "pps": [
        {"tb": 100, "tbk": 10, "gb": 60, "gbk": 6, "eb": 20, "ebk": 2, "rb": 7, "wb": 9, "fs": [1, 2, 3, 4]},
        {"tb": 50, "tbk": 1, "gb": 50, "gbk": 1, "eb": 0, "ebk": 0, "rb": 0, "wb": 50, "fs": [1, 4]},
    ],
    "ftbl": [
        "[root]",
        "0x1: malloc (in /usr/libexec/valgrind/vgpreload_dhat-amd64-linux.so)",
        "0x2: grow (book.cc:7)",
        "0x2: Book<int (*)(long)>::add (book.cc:9)",
        "0x3: main (main.cc:3)",
    ],
}


def heap_of(recording: Recording) -> HeapTimeline:
    assert recording.heap is not None
    return recording.heap


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def read(folder: Path, document: object, name: str = "dhat.out") -> Recording:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return load(path)


def changed(**members: object) -> dict[str, Any]:
    return {**copy.deepcopy(SMALL), **members}


def sums(profile: StackProfile) -> dict[str, tuple[float, float]]:
    """Period and count by event."""
    return {
        event.name: (profile.total(event=at, weight=Weight.PERIOD), profile.total(event=at))
        for at, event in enumerate(profile.events)
    }


def stacks(profile: StackProfile, event: int = 0) -> dict[str, float]:
    marks = {FrameKind.INLINED: "_[i]", FrameKind.OTHER: "_[o]"}
    found: dict[str, float] = {}
    for row in np.flatnonzero(profile.samples.event == event).tolist():
        frames = [int(profile.stacks.frame[at]) for at in profile.stacks.path(int(profile.samples.stack[row]))]
        names = [profile.frames.name_of(f) + marks.get(FrameKind(profile.frames.kind[f]), "") for f in frames]
        found[";".join(names)] = found.get(";".join(names), 0) + float(profile.samples.period[row])
    return found


@pytest.mark.parametrize(
    ("written", "read_as"), [(b"caf\xe9", r"caf\xe9"), (rb"a\\x41" + b"\xe9", r"a\x41\xe9"), (b"\xff", r"\xff")]
)
def test_a_name_of_bytes_that_are_no_text_is_read(written: bytes, read_as: str, tmp_path: Path) -> None:
    path = tmp_path / "dhat.out"
    path.write_bytes(json.dumps(SMALL).encode().replace(b"grow", written))
    assert read_as in profile_of(load(path)).frames.names()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mark_of_the_encoding_is_no_part_of_it(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "dhat.out"
    path.write_bytes(json.dumps(SMALL).encode(encoding))
    assert stacks(profile_of(load(path))) == stacks(profile_of(read(tmp_path, SMALL, "plain.out")))


@pytest.mark.parametrize("name", ["heap.json", "trading.json.gz", "copy.json", "ad-hoc.json"])
def test_sums_are_the_totals_that_dhat_prints(name: str) -> None:
    recording = load(VALGRIND / name)
    assert (recording.format, recording.warnings) == ("dhat", ())
    text = (VALGRIND / f"{name.partition('.')[0]}.totals").read_text()
    told = {
        found[1]: (int(found[2].replace(",", "")), int((found[3] or "0").replace(",", "")))
        for found in _TOTAL.finditer(text)
    }
    names = {"Total": ALLOCATED, "At t-gmax": PEAK, "At t-end": LEAKED, "Reads": READ, "Writes": WRITTEN}
    if len(told) == 1:
        names["Total"] = COPIED if "copy" in name else AD_HOC
    assert sums(profile_of(recording)) == {names[word]: figures for word, figures in told.items()}
    assert all(event.exact for event in profile_of(recording).events)


def test_facts_and_the_three_rows_that_are_known() -> None:
    recording = load(VALGRIND / "heap.json")
    heap = heap_of(recording)
    assert recording.meta.command == ("./engine", "5000")
    assert heap.time_unit is TimeUnit.INSTRUCTIONS
    assert heap.heap.tolist() == [0, 405_063, 250_000]
    assert heap.time.tolist() == [0, 3_711_573, 3_741_098]
    assert (heap.peak, heap.peak_marked) == (1, True)
    facts = heap.facts
    assert (facts.allocations, facts.allocated) == (6_851, 808_723)
    assert (facts.peak, facts.leaked, facts.leaked_blocks) == (405_063, 250_000, 50)
    events = profile_of(recording).events
    assert [events[int(event)].name for event in heap.event if event >= 0] == [PEAK, LEAKED]


def test_the_leak_stands_at_its_line() -> None:
    profile = profile_of(load(VALGRIND / "trading.json.gz"))
    leaked = [event.name for event in profile.events].index(LEAKED)
    stack, size = max(stacks(profile, leaked).items(), key=lambda item: item[1])
    assert ";trading_system::churn::remember_session" in stack
    assert size == 581_632  # of 583,369 bytes that were in use at the end
    places = [
        profile.frames.place_of(f) for f in range(len(profile.frames)) if "remember_s" in profile.frames.name_of(f)
    ]
    assert "/home/user/trading-system/src/churn.rs:52" in places


def test_stacks_stand_root_first_without_malloc(tmp_path: Path) -> None:
    profile = profile_of(read(tmp_path, SMALL))
    assert stacks(profile) == {"main;Book<int (*)(long)>::add;grow_[i]": 60, "main": 50}


def test_who_copies_is_told() -> None:
    profile = profile_of(load(VALGRIND / "copy.json"))
    assert any("mempcpy" in stack for stack in stacks(profile))
    assert profile.events[0].counted_in is Unit.CALLS


def test_what_the_dhat_crate_of_rust_writes(tmp_path: Path) -> None:
    document = changed(mode="rust-heap", bkacc=False, tu="µs", te=2_500_000, tg=1_000_000)
    document["ftbl"] = [
        *("[root]", "0x1: alloc::alloc::alloc (library/alloc/src/alloc.rs:89:9)"),
        *(
            "0x1: book::grow (src/book.rs:7:13)",
            "0x2: book::add (src/book.rs:9:5)",
            "0x3: book::main (src/main.rs:3:1)",
        ),
    ]
    for place in document["pps"]:
        del place["rb"], place["wb"]
    recording = read(tmp_path, document)
    heap, profile = heap_of(recording), profile_of(recording)
    assert (heap.time_unit, heap.time.tolist()) == (TimeUnit.SECONDS, [0, 1.0, 2.5])
    assert set(sums(profile)) == {PEAK, ALLOCATED, LEAKED}
    assert "src/book.rs:7" in [profile.frames.place_of(f) for f in range(len(profile.frames))]
    assert "main;book::add" in next(iter(stacks(profile)))


def test_a_program_without_allocations(tmp_path: Path) -> None:
    recording = read(tmp_path, changed(pps=[], ftbl=["[root]"]))
    assert heap_of(recording).facts.allocated == 0
    assert recording.warnings[0].text == "DHAT saw no allocation."


@pytest.mark.parametrize("name", ["heap.json", "copy.json", "trading.json.gz"])
def test_known_by_content(name: str, tmp_path: Path) -> None:
    nameless = tmp_path / "unknown"
    nameless.write_bytes((VALGRIND / name).read_bytes())
    one, other = load(nameless), load(VALGRIND / name)
    assert one.format == "dhat"
    assert all(same(a, b) for a, b in zip(one.results, other.results, strict=True))


def test_sniff() -> None:
    head = (VALGRIND / "heap.json").read_bytes()
    assert max(FORMATS, key=lambda f: f.sniff(head, "unknown")) is DHAT
    for text in (b"{}", b'{"pps": []}', b"dhatFileVersion", b"[1]", b"", b'{"nodes": [], "samples": []}'):
        assert DHAT.sniff(text, "dhat.out.1") < 0


def _place(**members: object) -> list[dict[str, object]]:
    return [{**SMALL["pps"][0], **members}]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (changed(dhatFileVersion=1), "is of version 1"),
        (changed(pps=_place(tb=-1)), "“tb” of a place is -1"),
        (changed(pps=_place(gbk=2**63)), "“gbk” of a place is 9223372036854775808"),
        (changed(pps=_place(gb=2**70)), "“gb” of a place"),
        (changed(pps=_place(eb="many")), "“eb” of a place is many"),
        (changed(pps=_place(eb=1.5)), "“eb” of a place is 1.5"),
        (changed(pps=_place(tb=True)), "“tb” of a place is True"),
        (changed(pps=_place(fs=[9])), "names a function that it does not list"),
        (changed(pps=_place(fs=[-1])), "names a function that it does not list"),
        (changed(pps=_place(fs=["main"])), "names a function that it does not list"),
        (changed(pps=[7]), "no places of allocation"),
        (changed(tg=1000), "its times are none"),
        (changed(te="late"), "its times are none"),
        (json.dumps(SMALL)[:400], "is not whole"),
        ("[]", "it is no JSON object"),
    ],
)
def test_damage_is_one_sentence(document: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "dhat.out"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(ParseError) as error:
        load(path, format="dhat")
    assert words in error.value.sentence
    assert error.value.sentence.count("\n") == 0


def test_cut_short_at_every_line(tmp_path: Path) -> None:
    lines = (VALGRIND / "copy.json").read_text().splitlines(keepends=True)
    path = tmp_path / "dhat.out"
    for length in range(len(lines)):
        path.write_text("".join(lines[:length]))
        with pytest.raises(ParseError):
            load(path, format="dhat")


def test_crlf(tmp_path: Path) -> None:
    text = (VALGRIND / "heap.json").read_text().replace("\n", "\r\n")
    assert sums(profile_of(read(tmp_path, text))) == sums(profile_of(load(VALGRIND / "heap.json")))


@given(
    st.lists(
        st.tuples(st.integers(0, 2**40), st.integers(0, 2**30), st.lists(st.integers(0, 6), max_size=7)), max_size=8
    )
)
@settings(max_examples=60, deadline=None)
def test_any_sums(tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int, list[int]]]) -> None:
    texts = ["[root]", *(f"0x{at // 2}: f{at % 3} (a.c:{at % 2})" for at in range(6))]
    pps = [{"tb": size, "tbk": blocks, "fs": row} for size, blocks, row in places]
    recording = read(tmp_path_factory.mktemp("dhat"), changed(pps=pps, ftbl=texts))
    assert sums(profile_of(recording))[ALLOCATED] == (sum(p[0] for p in places), sum(p[1] for p in places))
