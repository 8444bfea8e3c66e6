"""Flame-graph SVGs of six flamegraph.pl and three inferno versions are the trees of their folded stacks."""

from __future__ import annotations

import gzip
import random
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA, folded_counts, stack_counts, stack_periods
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording, StackProfile
from tailflame.parse import load
from tailflame.parse.flamegraph_svg import FLAMEGRAPH_SVG
from tailflame.parse.source import Source
from tailflame.units import Unit

GRAPHS = DATA / "flamegraph"


def reference(name: str = "stacks.folded", *, keep: str = "", replace: str = "") -> dict[str, float]:
    """A folded text as its graphs show it: without annotations, which all these tools drop from titles."""
    text = (GRAPHS / name).read_text()
    bare = text if keep == "annotations" else re.sub(r"_\[[kj]\]", "", text)
    return folded_counts(bare.translate(str.maketrans("<>", "()")) if replace == "angles" else bare)


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def read(folder: Path, text: str) -> Recording:
    path = folder / "graph.svg"
    path.write_text(text)
    return load(path)


def graph(boxes: Iterable[str], *, script: str = "") -> str:
    """An SVG in the manner of flamegraph.pl around `boxes`."""
    return (
        '<?xml version="1.0" standalone="no"?>\n<svg version="1.1" xmlns="http://www.w3.org/2000/svg">\n'
        f"<script><![CDATA[\n for (i = 0; i < n; i++) {{ '<rect>' }}\n{script}\n]]></script>\n"
        '<rect x="0.0" y="0" width="1200.0" height="98.0" fill="url(#background)"  />\n'
        '<text id="title" x="600.00" y="24" >Flame &amp; Graph</text>\n<g id="frames">\n'
        + "\n".join(boxes)
        + "\n</g>\n</svg>\n"
    )


def box(title: str, x: float, width: float, row: int) -> str:
    return (
        f"<g >\n<title>{title}</title>"
        f'<rect x="{x:.1f}" y="{200 - 16 * row}" width="{width:.1f}" height="15.0" fill="rgb(1,2,3)" rx="2" />\n'
        f'<text x="{x + 3:.2f}" y="1" >..</text>\n</g>'
    )


EXACT = [
    ("flamegraph.pl/2024-10/stacks.svg", reference()),
    ("flamegraph.pl/2024-10/inverted.svg.gz", reference()),
    ("flamegraph.pl/2024-10/flamechart.svg.gz", reference()),
    ("flamegraph.pl/2024-10/period.svg.gz", reference("stacks-period.folded")),
    ("flamegraph.pl/2024-10/differential.svg.gz", reference("stacks-after.folded")),
    ("flamegraph.pl/2017-05/stacks.svg.gz", reference()),
    ("flamegraph.pl/2015-07/stacks.svg.gz", reference(replace="angles")),
    ("flamegraph.pl/2014-10/stacks.svg.gz", reference(replace="angles")),
    ("flamegraph.pl/2014-10/differential.svg.gz", reference("stacks-after.folded", replace="angles")),
    ("flamegraph.pl/2013-04/stacks.svg.gz", reference(replace="angles")),
    ("inferno/0.12.8/stacks.svg", reference()),
    ("inferno/0.12.8/inverted-pretty.svg.gz", reference()),
    ("inferno/0.12.8/flamechart.svg.gz", reference()),
    ("inferno/0.12.8/differential.svg.gz", reference("stacks-after.folded")),
    ("inferno/0.9.9/stacks.svg.gz", reference()),
    ("cargo-flamegraph/0.6.15/stacks.svg", reference("stacks-period.folded")),
]


@pytest.mark.parametrize(("name", "expected"), EXACT, ids=[name for name, _ in EXACT])
def test_a_graph_is_its_folded_stacks_exactly(name: str, expected: dict[str, float]) -> None:
    profile = profile_of(load(GRAPHS / name))
    assert stack_counts(profile) == expected
    assert not profile.approximate
    pairs = set(zip(profile.stacks.parent.tolist(), profile.stacks.frame.tolist(), strict=True))
    assert len(pairs) == len(profile.stacks), "no two rows share parent and frame"
    assert (profile.stacks.parent < np.arange(len(profile.stacks))).all(), "parents come first"


def test_the_first_version_of_2011_has_no_titles_and_bare_brackets() -> None:
    profile = profile_of(load(GRAPHS / "flamegraph.pl/2011-12/stacks.svg.gz"))
    expected = {
        re.sub(r"_\[[kj]\]", "", stack.replace(" ", "_")): count
        for stack, count in reference(keep="annotations").items()
    }
    assert stack_counts(profile) == expected
    assert not profile.approximate


def test_whole_pixels_are_approximate_and_say_so() -> None:
    recording = load(GRAPHS / "inferno/0.7.0/stacks.svg.gz")
    profile = profile_of(recording)
    assert profile.approximate
    assert "whole pixels" in recording.warnings[0].text
    assert profile.total() == 5137
    found, expected = stack_counts(profile), reference()
    off = sum(abs(found.get(s, 0) - expected.get(s, 0)) for s in found.keys() | expected.keys())
    assert off <= 4, "two frames of one sample change callers"


def test_pruned_frames_are_told_and_their_time_is_their_callers() -> None:
    recording = load(GRAPHS / "inferno/0.9.9/pruned.svg.gz")
    assert recording.warnings[0].text.startswith("Frames below 6 samples (0.117%) may be missing")
    found = stack_counts(profile_of(recording))
    assert sum(found.values()) == 5137
    shown = {stack[: m.start()] for stack in found for m in re.finditer(";|$", stack)}
    moved: dict[str, float] = {}
    for stack, count in reference().items():
        while stack not in shown:
            stack = stack.rpartition(";")[0]
        moved[stack] = moved.get(stack, 0) + count
    assert found == moved


def test_a_graph_that_pprof_wrote_in_the_program() -> None:
    profile = profile_of(load(GRAPHS / "pprof-rs/profile.svg"))
    assert profile.total() == 62
    roots = profile.stacks.frame[profile.stacks.parent < 0]
    assert {profile.frames.name_of(int(f)) for f in roots} <= {"trading-system", "engine-0"}


def test_names_that_replace_titles_and_are_not_well_formed() -> None:
    recording = load(GRAPHS / "flamegraph.pl/2024-10/nameattr.svg.gz")
    assert "titles without a count" in recording.warnings[0].text
    named = {
        stack.replace("trading_system::order_book::OrderBook::match_order", "see the <manual>"): count
        for stack, count in reference().items()
    }
    assert stack_counts(profile_of(recording)) == named


def test_a_scaled_graph_keeps_its_figures_and_unit() -> None:
    recording = load(GRAPHS / "inferno/0.12.8/period-ms.svg.gz")
    profile = profile_of(recording)
    (event,) = profile.events
    assert (event.name, event.unit, event.has_period) == ("ms", Unit.NANOSECONDS, True)
    assert profile.total() == pytest.approx(5152.457233)
    assert sum(stack_periods(profile).values()) == pytest.approx(5152457233)
    assert "counts ms, not samples" in recording.warnings[0].text


def test_titles_of_the_file_and_the_order_of_a_flame_chart() -> None:
    recording = load(GRAPHS / "flamegraph.pl/2024-10/flamechart.svg.gz")
    assert recording.meta.title == "Flame Chart"
    assert profile_of(recording).in_time_order
    recording = load(GRAPHS / "flamegraph.pl/2024-10/period.svg.gz")
    assert recording.meta.title == "Periods & more"
    assert not profile_of(recording).in_time_order


def test_a_differential_graph_tells_what_it_cannot_give() -> None:
    recording = load(GRAPHS / "inferno/0.12.8/differential.svg.gz")
    assert "the first is not in it" in recording.warnings[0].text
    assert recording.baseline is None


def test_colours_claim_no_kinds() -> None:
    profile = profile_of(load(GRAPHS / "inferno/0.12.8/stacks.svg"))
    kinds = dict(zip(profile.frames.names(), profile.frames.kind.tolist(), strict=True))
    assert kinds.pop("[unknown]") == FrameKind.OTHER
    assert set(kinds.values()) == {FrameKind.UNKNOWN}


TREE = [
    box("all (100 samples, 100%)", 10, 1180, 0),
    box("main (100 samples, 100.00%)", 10, 1180, 1),
    box("a &lt;b&gt; (40 samples, 40.00%)", 128, 472, 2),
    box("c (10 samples, 10.00%)", 600, 118, 2),
]
TREE_COUNTS = {"main": 50, "main;a <b>": 40, "main;c": 10}


class TestTolerance:
    def test_the_plain_case(self, tmp_path: Path) -> None:
        recording = read(tmp_path, graph(TREE))
        assert stack_counts(profile_of(recording)) == TREE_COUNTS
        assert recording.meta.title == "Flame & Graph"

    def test_boxes_come_in_any_order(self, tmp_path: Path) -> None:
        assert stack_counts(profile_of(read(tmp_path, graph(TREE[::-1])))) == TREE_COUNTS

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("<g >", '<a xlink:href="http://x/?a=1&b=2" target="_top">'),
            ("<g >", '<g class="func_g" onmouseover="s(this)" onclick="zoom(this)" title="a "quoted" word">'),
            ("<g >", "<g id='1'\n\tclass='func_g'>"),
            ("</text>", "</text><!-- <rect x='0' y='0' width='9'> -->"),
            ("</g>", ""),
            ("rx=", "data-odd='<' rx="),
            ("a &lt;b&gt;", "a <b>"),
            ("a &lt;b&gt;", "a &#60;b&#x3e;"),
            ('height="15.0" ', ""),
        ],
    )
    def test_variations_make_no_difference(self, tmp_path: Path, before: str, after: str) -> None:
        boxes = [text.replace(before, after) for text in TREE]
        assert boxes != TREE
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == TREE_COUNTS

    def test_attributes_in_another_order_and_quotes(self, tmp_path: Path) -> None:
        boxes = [
            re.sub(r'x="([\d.]+)" y="(\d+)" width="([\d.]+)"', r"width = '\3px' y='\2'  x='\1'", text) for text in TREE
        ]
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == TREE_COUNTS

    def test_a_graph_saved_while_zoomed_is_read_unzoomed(self, tmp_path: Path) -> None:
        boxes = [
            re.sub(r'x="([\d.]+)" y="(\d+)" width="([\d.]+)"',
                   r'x="10" y="\2" width="1180" _orig_x="\1" _orig_width="\3"', text)
            for text in TREE
        ]  # fmt: skip
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == TREE_COUNTS

    def test_upside_down_by_the_root_s_row(self, tmp_path: Path) -> None:
        boxes = [re.sub(r'y="(\d+)"', lambda m: f'y="{400 - int(m[1])}"', text, count=1) for text in TREE]
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == TREE_COUNTS

    @pytest.mark.parametrize("script", ["if (1 == 0) {", "var inverted = true;"])
    def test_upside_down_by_the_script_where_no_root_tells(self, tmp_path: Path, script: str) -> None:
        boxes = [
            re.sub(r'y="(\d+)"', lambda m: f'y="{400 - int(m[1])}"', text, count=1)
            for text in [box("main (9 samples, 90.00%)", 10, 1180, 1), box("leaf (9 samples, 90.00%)", 10, 1180, 2)]
        ]
        assert stack_counts(profile_of(read(tmp_path, graph(boxes, script=script)))) == {"main;leaf": 9}

    def test_same_named_neighbours_are_one_frame(self, tmp_path: Path) -> None:
        boxes = [
            box("all (30 samples, 100%)", 10, 300, 0),
            box("a (10 samples, 33.33%)", 10, 100, 1),
            box("a.b (10 samples, 33.33%)", 110, 100, 1),
            box("a (10 samples, 33.33%)", 210, 100, 1),
            box("x (4 samples, 13.33%)", 210, 40, 2),
        ]
        profile = profile_of(read(tmp_path, graph(boxes)))
        assert stack_counts(profile) == {"a": 16, "a.b": 10, "a;x": 4}
        assert len(profile.stacks) == 3

    def test_time_outside_every_stack_is_kept(self, tmp_path: Path) -> None:
        boxes = [box("all (30 samples, 100%)", 10, 300, 0), box("a (10 samples, 33.33%)", 10, 100, 1)]
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == {"": 20, "a": 10}

    def test_old_hover_texts_undo_their_quoting(self, tmp_path: Path) -> None:
        hover = 'onmouseover="s(\'{}\')" onmouseout="c()"'
        root = hover.format("all samples (4 samples, 100%)")
        leaf = hover.format('it\\\'s "std::vec<int>" (4 samples, 100.00%)')
        text = graph(
            [
                f'<rect x="10.0" y="49" width="100.0" height="15.0" {root} />',
                f'<g class="func_g" {leaf}><rect x="10.0" y="33" width="100.0" height="15.0" /></g>',
            ]
        )
        assert stack_counts(profile_of(read(tmp_path, text))) == {'it\'s "std::vec<int>"': 4}

    def test_old_differential_titles(self, tmp_path: Path) -> None:
        boxes = [
            box("all (2 samples, 100%)", 10, 100, 0),
            box("f (-2 sample weight, 2 samples, 100.00%)", 10, 100, 1),
        ]
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == {"f": 2}

    def test_a_name_may_look_like_a_title(self, tmp_path: Path) -> None:
        boxes = [box("all (2 samples, 100%)", 10, 100, 0), box("f (9 samples, 1%) (2 samples, 100.00%)", 10, 100, 1)]
        assert stack_counts(profile_of(read(tmp_path, graph(boxes)))) == {"f (9 samples, 1%)": 2}

    def test_rounded_counts_are_told(self, tmp_path: Path) -> None:
        boxes = [
            box("all (10 samples, 100%)", 10, 1000, 0),
            box("f (5 samples, 45.00%)", 10, 450, 1),
            box("g (6 samples, 55.00%)", 460, 550, 1),
        ]
        recording = read(tmp_path, graph(boxes))
        assert profile_of(recording).approximate
        assert "counts are rounded" in recording.warnings[0].text
        assert stack_counts(profile_of(recording)) == {"f": 5, "g": 6}

    def test_chunks_may_end_anywhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = stack_counts(profile_of(load(GRAPHS / "pprof-rs/profile.svg")))
        for size in (1, 13, 1000):
            monkeypatch.setattr(Source.chunks, "__defaults__", (size,))
            assert stack_counts(profile_of(load(GRAPHS / "pprof-rs/profile.svg"))) == whole
            assert stack_counts(profile_of(read(tmp_path, graph(TREE)))) == TREE_COUNTS

    def test_ten_thousand_rows(self, tmp_path: Path) -> None:
        boxes = [box("all (3 samples, 100%)", 10, 1180, 0)]
        boxes += [box("recurse (3 samples, 100.00%)", 10, 1180, row) for row in range(1, 10_001)]
        profile = profile_of(read(tmp_path, graph(boxes)))
        assert int(profile.stacks.depths().max()) == 9_999
        assert profile.total() == 3

    def test_a_frame_without_a_place_is_told(self, tmp_path: Path) -> None:
        boxes = [*TREE, box("lost (1 samples, 1.00%)", 10, 10, 2).replace('x="10.0"', 'x="nowhere"')]
        recording = read(tmp_path, graph(boxes))
        assert recording.warnings[0].text == "1 frame has no usable place in the file and could not be read."
        assert stack_counts(profile_of(recording)) == TREE_COUNTS

    @pytest.mark.parametrize("seed", range(60))
    def test_figures_out_of_all_proportion_break_nothing(self, tmp_path: Path, seed: int) -> None:
        luck = random.Random(seed)
        text = (GRAPHS / luck.choice(["pprof-rs/profile.svg", "flamegraph.pl/2024-10/stacks.svg"])).read_text()
        figures = [m.span() for m in re.finditer(r'(?<=")[-\d.]+(?=%?")|[\d,]+(?= samples)', text)]
        for begin, end in sorted(luck.sample(figures, luck.randrange(1, 12)), reverse=True):
            odd = luck.choice(["9" * 400, "-5", "0", "1e9", "", "nan", "9" * 18, "1.5", "0.0", "-1e400", "%"])
            text = text[:begin] + odd + text[end:]
        profile = profile_of(read(tmp_path, text))
        assert np.isfinite(profile.samples.count).all()
        assert (profile.samples.count > 0).all()


class TestRefusals:
    def test_entities_are_not_expanded_but_refused(self, tmp_path: Path) -> None:
        laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
        text = f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">{laughs}]>{graph(["<title>&l11;</title>"])}'
        with pytest.raises(ParseError, match="defines entities of its own"):
            read(tmp_path, text)

    def test_the_public_doctype_of_every_graph_is_no_such_thing(self, tmp_path: Path) -> None:
        doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
        text = graph(TREE).replace("<svg ", f"{doctype}<svg ", 1)
        assert stack_counts(profile_of(read(tmp_path, text))) == TREE_COUNTS

    def test_another_picture(self, tmp_path: Path) -> None:
        with pytest.raises(ParseError, match="no flame graph: it holds no frames"):
            read(tmp_path, '<svg xmlns="http://www.w3.org/2000/svg"><rect x="1" y="1" width="5"/><g/></svg>')

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
    @pytest.mark.parametrize("name", ["inferno/0.12.8/stacks.svg", "flamegraph.pl/2024-10/stacks.svg"])
    def test_a_graph_that_was_cut_off(self, tmp_path: Path, name: str, share: float) -> None:
        text = (GRAPHS / name).read_text()
        with pytest.raises(ParseError, match="cut short"):
            read(tmp_path, text[: int(len(text) * share)].replace("</svg>", ""))

    def test_a_tag_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tailflame.parse.svg_boxes._TAG_LIMIT", 100_000)
        with pytest.raises(ParseError, match="has a tag of more than"):
            read(tmp_path, f"<svg><rect {'x' * 3_000_000}")


class TestSniff:
    def test_every_sample_is_sure(self) -> None:
        for path in GRAPHS.rglob("*.svg*"):
            head = path.read_bytes()
            head = gzip.decompress(head) if path.suffix == ".gz" else head
            assert FLAMEGRAPH_SVG.sniff(head[: 64 * 1024], "unknown") >= 0.6, path

    @pytest.mark.parametrize(
        "text",
        ["", "main;work 3\n", "# how to write <svg> samples\n", "<html><p>no picture</p></html>", '{"a": "<svg>"}'],
    )
    def test_what_is_not(self, text: str) -> None:
        assert FLAMEGRAPH_SVG.sniff(text.encode(), "graph.svg") < 0


SHAPES = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "c", "d & e", "f<g>", "h (1 samples, 2%)"]), min_size=1, max_size=7).map(
        ";".join
    ),
    st.integers(1, 60),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, order=st.randoms(use_true_random=False))
def test_any_tree_is_found_again_from_rounded_places(tmp_path: Path, shapes: dict[str, int], order: object) -> None:
    """Draws stacks as flamegraph.pl does (0.1 px, any order) and reads them back."""
    total = sum(shapes.values())
    boxes: list[str] = []
    start = 0
    open_frames: list[tuple[str, int]] = []

    def close(depth: int) -> None:
        while len(open_frames) > depth:
            name, begin = open_frames.pop()
            title = f"{name} ({start - begin:,} samples, {100 * (start - begin) / total:.2f}%)"
            escaped = title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            boxes.append(box(escaped, 10 + 1180 * begin / total, 1180 * (start - begin) / total, len(open_frames) + 1))

    for stack, count in sorted(shapes.items(), key=lambda item: item[0].split(";")):
        frames = stack.split(";")
        shared = 0
        while shared < min(len(frames), len(open_frames)) and frames[shared] == open_frames[shared][0]:
            shared += 1
        close(shared)
        open_frames += [(name, start) for name in frames[shared:]]
        start += count
    close(0)
    boxes.append(box(f"all ({total:,} samples, 100%)", 10, 1180, 0))
    order.shuffle(boxes)  # type: ignore[attr-defined]
    recording = read(tmp_path, graph(boxes))
    assert stack_counts(profile_of(recording)) == shapes
    assert not profile_of(recording).approximate


@pytest.mark.tool("inferno-flamegraph")
@pytest.mark.parametrize("options", [[], ["--inverted"], ["--minwidth", "0"], ["--hash"]], ids=" ".join)
def test_the_installed_inferno(tmp_path: Path, options: list[str]) -> None:
    tool = shutil.which("inferno-flamegraph")
    assert tool
    folded = GRAPHS / "stacks.folded"
    drawn = subprocess.run([tool, *options, str(folded)], capture_output=True, check=True).stdout
    (tmp_path / "graph.svg").write_bytes(drawn)
    assert stack_counts(profile_of(load(tmp_path / "graph.svg"))) == reference()


@pytest.mark.parametrize("count", [",", ",,", "-,"])
def test_a_count_without_a_digit_is_a_part_of_the_name(tmp_path: Path, count: str) -> None:
    odd = f"odd ({count} samples, 40.00%)"
    found = read(tmp_path, graph([box("all (100 samples, 100%)", 10, 1180, 0), box(odd, 10, 472, 1)]))
    assert odd in profile_of(found).frames.names()
