"""Our flame graphs are the same trees again, for us and for readers of inferno's, and safe for a browser."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA, stack_counts, stack_periods
from helpers.stacks import drawn, profile
from tailflame.analyse.layout import Order
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.errors import StoreError
from tailflame.model import Event, FrameKind, StackBuilder, StackProfile, Weight
from tailflame.parse import load
from tailflame.report import svg
from tailflame.units import Unit

SVG = "{http://www.w3.org/2000/svg}"
FG = "{http://github.com/jonhoo/inferno}"


def again(folder: Path, what: object, **options: object) -> StackProfile:
    path = folder / "graph.svg"
    svg.write(what, path, **options)  # type: ignore[arg-type]
    read = load(path)
    assert read.format == "flamegraph-svg"
    assert read.profile is not None
    return read.profile


def text_of(what: StackProfile, **options: object) -> str:
    stream = io.StringIO()
    svg.write(what, stream, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def foreign(text: str) -> str:
    """The graph without what only Tailflame reads: as inferno might have written it."""
    return re.sub(r' (data-[\w-]+|class)="[^"]*"', "", text)


SMALL = profile("""
main;parse@/lib/libc.so.6;read_[k]@[kernel.kallsyms] 120
main;parse@/lib/libc.so.6 30
main;run;<T as A>::f;a & "b" 'c' 1250
main;run 2
idle 3
""")


def test_the_demo_comes_back_exactly(tmp_path: Path) -> None:
    before = load(DATA / "flamegraph" / "stacks.folded").profile
    assert before is not None
    after = again(tmp_path, before)
    assert stack_counts(after) == stack_counts(before)
    assert drawn(build_tree(after)) == drawn(build_tree(before))
    assert not after.approximate


def test_kinds_and_modules_come_back(tmp_path: Path) -> None:
    after = again(tmp_path, SMALL)
    frames = after.frames
    told = {frames.name_of(i): (frames.module_of(i), FrameKind(int(frames.kind[i]))) for i in range(len(frames))}
    assert told["read"] == ("[kernel.kallsyms]", FrameKind.KERNEL)
    assert told["parse"] == ("/lib/libc.so.6", FrameKind.USER)
    assert told["main"] == ("", FrameKind.USER)


@pytest.mark.parametrize("options", [{}, {"icicle": True}, {"order": Order.HEAVY}])
def test_every_way_to_draw_is_the_same_tree(tmp_path: Path, options: dict[str, object]) -> None:
    assert stack_counts(again(tmp_path, SMALL, **options)) == stack_counts(SMALL)
    path = tmp_path / "foreign.svg"
    path.write_text(foreign(text_of(SMALL, **options)))
    read = load(path).profile
    assert read is not None
    assert stack_counts(read) == stack_counts(SMALL)
    assert set(read.frames.kind.tolist()) == {FrameKind.UNKNOWN}


def test_a_flame_chart_keeps_its_order(tmp_path: Path) -> None:
    before = profile("a;b 2\na;c 3\na;b 4\nd 1", in_time_order=True)
    after = again(tmp_path, before, order=Order.TIME)
    assert after.in_time_order
    assert stack_counts(after) == stack_counts(before)
    assert after.samples.count.tolist() == [2, 3, 4, 1]


def test_samples_without_a_stack_stay(tmp_path: Path) -> None:
    builder = StackBuilder()
    builder.sample(-1, count=7)
    builder.sample(builder.stack([builder.frame("main")]), count=3)
    after = again(tmp_path, builder.build())
    assert stack_counts(after) == {"": 7, "main": 3}


def test_a_weight_in_its_unit_keeps_the_samples_beside_it(tmp_path: Path) -> None:
    builder = StackBuilder(events=[Event("cpu/event=0x3c,umask=0x1/", Unit.EVENTS, has_period=True)])
    for name, count, period in (("a", 3, 3_000_123.0), ("b", 1, 2e15 + 1)):
        builder.sample(builder.stack([builder.frame("main"), builder.frame(name)]), count=count, period=period)
    before = builder.build()
    after = again(tmp_path, before, weight=Weight.PERIOD)
    assert after.events == before.events
    assert stack_counts(after) == stack_counts(before)
    assert stack_periods(after) == stack_periods(before)


@pytest.mark.parametrize("unit", [Unit.NANOSECONDS, Unit.BYTES])
def test_units_are_words_in_titles(tmp_path: Path, unit: Unit) -> None:
    builder = StackBuilder(events=[Event("time", unit, has_period=True)])
    builder.sample(builder.stack([builder.frame("main")]), count=2, period=12_345)
    text = text_of(builder.build(), weight=Weight.PERIOD)
    assert f"<title>main (12,345 {unit.value}, 100.00%)</title>" in text


def test_fractions_come_back_exactly(tmp_path: Path) -> None:
    builder = StackBuilder()
    counts = {"a": 0.1, "b": 1 / 3, "c": 1e-9, "d": 12345.678}
    for name, count in counts.items():
        builder.sample(builder.stack([builder.frame("main"), builder.frame(name)]), count=count)
    after = again(tmp_path, builder.build())
    assert stack_counts(after) == {f"main;{name}": count for name, count in counts.items()}


def test_a_tree_is_drawn_as_it_is_shown(tmp_path: Path) -> None:
    tree = build_tree(SMALL, TreeOptions(inverted=True))
    after = again(tmp_path, tree)
    assert stack_counts(after)["read;parse;main"] == 120
    focused = build_tree(SMALL, TreeOptions(focus="parse"))
    assert stack_counts(again(tmp_path, focused)) == {"parse;read": 120, "parse": 30}


def test_narrow_frames_may_be_left_out_and_their_time_stays(tmp_path: Path) -> None:
    after = again(tmp_path, SMALL, least_share=0.05)
    assert stack_counts(after) == {
        "main;parse;read": 120,
        "main;parse": 30,
        "main;run;<T as A>::f;a & \"b\" 'c'": 1250,
        "main;run": 2,
        "": 3,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r' data-p="\d+"', ' data-p="0"'),
        (r' data-p="\d+"', ' data-p="999999"'),
        (r' data-p="\d+"', ""),
        (r'data-unit="samples"', 'data-unit="parsecs"'),
        (r'class="user"', 'class="unheard of"'),
        (r'<g class="user"', '<g class="user" data-self="-1e999" data-n="many"'),
    ],
)
def test_a_graph_that_somebody_changed_is_still_read_by_its_places(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "changed.svg"
    text = re.sub(before, after, text_of(SMALL))
    assert text != text_of(SMALL)
    path.write_text(text)
    read = load(path).profile
    assert read is not None
    assert stack_counts(read) == stack_counts(SMALL)


def test_titles_and_figures_are_those_of_inferno() -> None:
    text = text_of(SMALL)
    assert 'id="frames" x="10" width="1180" total_samples="1405"' in text
    assert "<title>all (1,405 samples, 100%)</title>" in text
    assert "<title>parse (150 samples, 10.68%)</title>" in text
    assert re.search(
        r'<rect x="[\d.]+%" y="\d+" width="10\.6762%" height="15" fill="rgb[^"]*" fg:x="\d+" fg:w="150"/>', text
    )


def test_boxes_stand_on_their_callers() -> None:
    root = ET.fromstring(text_of(SMALL))
    frames = root.find(f"{SVG}svg")
    assert frames is not None
    boxes = [(g.findtext(f"{SVG}title"), g.find(f"{SVG}rect")) for g in frames.findall(f"{SVG}g")]
    rows = {str(title).split(" (")[0]: rect for title, rect in boxes if rect is not None}
    for upper, lower in (("parse", "main"), ("read", "parse"), ("main", "all")):
        assert int(rows[upper].attrib["y"]) == int(rows[lower].attrib["y"]) - 16
        start, end = (int(rows[upper].attrib[f"{FG}x"]), int(rows[upper].attrib[f"{FG}w"]))
        assert int(rows[lower].attrib[f"{FG}x"]) <= start
        assert start + end <= int(rows[lower].attrib[f"{FG}x"]) + int(rows[lower].attrib[f"{FG}w"])
    icicle = ET.fromstring(text_of(SMALL, icicle=True))
    ys = [int(rect.attrib["y"]) for rect in icicle.iter(f"{SVG}rect") if "fill" in rect.attrib][1:]
    assert ys == sorted(ys)


NASTY = [
    "</title><script>alert(1)</script>",
    "]]>",
    "\"'&<>",
    "a\x00b\x1b[31m",
    "\ud800",
    "𝄞\uffff",
    "&amp;lol;",
    " ",
    ".",
]


def test_names_cannot_leave_their_place(tmp_path: Path) -> None:
    builder = StackBuilder()
    for number, name in enumerate(NASTY):
        frame = builder.frame(name, module=f'/lib/{name}"><script>')
        builder.sample(builder.stack([frame]), count=number + 1)
    text = text_of(builder.build(), title="<script>&", event_name="x")
    root = ET.fromstring(text.encode())
    assert len(root.findall(f".//{SVG}script")) == 1
    assert not root.findall(".//script")
    after = again(tmp_path, builder.build())
    assert after.total() == sum(range(1, len(NASTY) + 1))
    assert set(stack_counts(after)) >= {"]]>", "\"'&<>", "&amp;lol;", "."}


def test_the_script_is_one_and_asks_for_nothing() -> None:
    text = text_of(SMALL)
    script = text[text.index("<script>") : text.index("</script>")]
    for word in ("http://", "https://", "fetch(", "XMLHttp", "eval(", "innerHTML", "import"):
        assert word not in script.replace("http://github.com/jonhoo/inferno", ""), word
    assert "]]>" in script
    assert script.count("]]>") == 1


def test_a_deep_recursion(tmp_path: Path) -> None:
    builder = StackBuilder()
    frame = builder.frame("recurse")
    builder.sample(builder.stack([frame] * 10_000), count=3)
    after = again(tmp_path, builder.build())
    assert int(after.stacks.depths().max()) == 9_999
    assert after.total() == 3


def test_an_empty_profile_is_an_empty_graph() -> None:
    ET.fromstring(text_of(StackBuilder().build()))


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.svg"
    path.write_text("older")
    monkeypatch.setattr(svg, "_fill", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        svg.write(SMALL, path)
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["graph.svg"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: No such file") as told:
        svg.write(SMALL, tmp_path / "gone" / "graph.svg")
    assert told.value.advice


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=";\ufffe\uffff"), min_size=1).filter(
    lambda name: name == name.strip() and not name.startswith("_")
)


@settings(max_examples=60, deadline=None)
@given(
    stacks=st.dictionaries(
        st.lists(st.sampled_from("abcd") | NAMES, min_size=1, max_size=6).map(tuple),
        st.integers(1, 10**9) | st.floats(0.001, 1e6),
        min_size=1,
        max_size=10,
    ),
    icicle=st.booleans(),
)
def test_any_profile_comes_back(tmp_path: Path, stacks: dict[tuple[str, ...], float], icicle: bool) -> None:
    builder = StackBuilder()
    for names, count in stacks.items():
        builder.sample(builder.stack([builder.frame(name) for name in names]), count=count)
    before = build_tree(builder.build())
    after = build_tree(again(tmp_path, before, icicle=icicle))
    assert drawn(after) == drawn(before)
