"""Folded stacks out are the same stacks in, and what the format cannot say is changed and told."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA, stack_counts
from helpers.stacks import profile
from tailflame.analyse.diff import compare
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.model import Caution, Event, FrameKind, StackBuilder, StackProfile, Weight
from tailflame.parse import load
from tailflame.report import folded, svg
from tailflame.units import Unit


def lines(what: object, **options: object) -> list[str]:
    stream = io.StringIO()
    folded.write(what, stream, **options)  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def told(what: object) -> tuple[Caution, ...]:
    return folded.write(what, io.StringIO())  # type: ignore[arg-type]


def single(*names: str, count: float = 1, kind: FrameKind = FrameKind.USER) -> StackProfile:
    builder = StackBuilder()
    builder.sample(builder.stack([builder.frame(name, kind=kind) for name in names]), count=count)
    return builder.build()


def test_a_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    before = DATA / "flamegraph" / "stacks.folded"
    read = load(before).profile
    assert read is not None
    assert folded.write(read, tmp_path / "out.folded") == ()
    assert sorted((tmp_path / "out.folded").read_text().splitlines()) == sorted(before.read_text().splitlines())


def test_one_line_per_stack_by_name() -> None:
    assert lines(profile("b 1\na;c 2\na;b 3\na 4\na;b 5")) == ["a 4", "a;b 8", "a;c 2", "b 1"]


def test_frames_of_two_places_with_one_name_are_one_line() -> None:
    builder = StackBuilder()
    for line, module in ((10, "a.so"), (11, "a.so"), (10, "b.so")):
        frames = [builder.frame("main"), builder.frame("work", line=line, module=module), builder.frame("leaf")]
        builder.sample(builder.stack(frames), count=2)
        builder.sample(builder.stack(frames[:2]), count=1)
    assert lines(builder.build()) == ["main;work 3", "main;work;leaf 6"]


def test_kinds_become_annotations() -> None:
    assert lines(profile("a;b_[k] 1\na;c_[i] 2\na;d_[j] 3")) == ["a;b_[k] 1", "a;c_[i] 2", "a;d_[j] 3"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(3, "3"), (0.5, "0.5"), (1e-7, "0.0000001"), (1e21, "1000000000000000000000"), (1 / 3, "0.3333333333333333")],
)
def test_counts_have_no_exponent(count: float, text: str) -> None:
    assert lines(single("a", count=count)) == [f"a {text}"]


def test_the_weight_of_choice() -> None:
    builder = StackBuilder(events=[Event("cycles", Unit.EVENTS, has_period=True), Event("faults")])
    leaf = builder.stack([builder.frame("a")])
    builder.sample(leaf, count=2, period=1000)
    builder.sample(leaf, count=3, event=1)
    both = builder.build()
    assert lines(both) == ["a 2"]
    assert lines(both, weight=Weight.PERIOD) == ["a 1000"]
    assert lines(both, event=1) == ["a 3"]


def test_a_tree_is_written_as_shown() -> None:
    tree = build_tree(profile("a;b 2\nc;b 1"), TreeOptions(inverted=True))
    assert lines(tree) == ["b;a 2", "b;c 1"]


def test_samples_without_a_stack_get_a_frame_that_says_so() -> None:
    builder = StackBuilder()
    builder.sample(-1, count=4)
    assert lines(builder.build()) == ["[no stack] 4"]
    assert lines(build_tree(builder.build())) == ["[no stack] 4"]


@pytest.mark.parametrize(
    ("name", "written"),
    [("[u8; 8]", "[u8: 8]"), ("two\nlines\r", "two lines "), ("worker 12", "worker_12"), ("v 1.5", "v_1.5")],
)
def test_names_that_would_break_a_line_are_changed_and_told(name: str, written: str) -> None:
    assert lines(single("main", name)) == [f"main;{written} 1"]
    (caution,) = told(single("main", name))
    assert name in caution.text
    assert caution.fix


def test_a_number_at_the_end_of_a_caller_is_harmless() -> None:
    assert lines(single("worker 12", "main")) == ["worker 12;main 1"]
    assert told(single("worker 12", "main")) == ()


def test_a_deep_recursion() -> None:
    (line,) = lines(single(*["again"] * 10_000))
    assert line.count(";") == 9_999


def test_nothing_is_an_empty_file() -> None:
    assert lines(StackBuilder().build()) == []


@pytest.mark.tool("inferno-flamegraph")
def test_inferno_draws_what_we_wrote(tmp_path: Path) -> None:
    before = load(DATA / "flamegraph" / "stacks.folded").profile
    assert before is not None
    folded.write(before, tmp_path / "out.folded")
    tool = shutil.which("inferno-flamegraph")
    assert tool
    drawn = subprocess.run([tool, str(tmp_path / "out.folded")], capture_output=True, check=True).stdout
    (tmp_path / "inferno.svg").write_bytes(drawn)
    after = load(tmp_path / "inferno.svg").profile
    svg.write(before, tmp_path / "own.svg")
    own = load(tmp_path / "own.svg").profile
    assert after is not None
    assert own is not None
    assert stack_counts(after) == stack_counts(own) == stack_counts(before)


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters=";\ufeff"), min_size=1
).filter(lambda name: name[-4:] not in {"_[k]", "_[i]", "_[j]", "_[w]"} and not name.startswith("#"))


@settings(max_examples=60, deadline=None)
@given(
    stacks=st.dictionaries(
        st.lists(st.sampled_from("abc") | NAMES, min_size=1, max_size=6).map(tuple),
        st.integers(1, 2**53) | st.floats(1e-6, 1e9),
        min_size=1,
        max_size=12,
    )
)
def test_any_profile_comes_back(tmp_path: Path, stacks: dict[tuple[str, ...], float]) -> None:
    builder = StackBuilder()
    for names, count in stacks.items():
        builder.sample(builder.stack([builder.frame(name) for name in names]), count=count)
    before = builder.build()
    path = tmp_path / "out.folded"
    assert folded.write(before, path) == ()
    after = load(path, format="folded").profile
    assert after is not None
    assert stack_counts(after) == stack_counts(before)


def test_a_difference_is_two_columns_that_open_as_a_comparison(tmp_path: Path) -> None:
    before = profile("main;a 3\nmain;b 5\nmain;gone 2")
    after = profile("main;a 30\nmain;b 5\nmain;new;ends 12 4")
    path = tmp_path / "both.folded"
    told = folded.write_difference(compare(before, after).tree, path)
    recording = load(path)
    assert recording.baseline is not None and recording.profile is not None
    assert (recording.baseline.total(), recording.profile.total()) == (10, 39)
    assert sorted(path.read_text().splitlines()) == [
        "main;a 3 30",
        "main;b 5 5",
        "main;gone 2 0",
        "main;new;ends_12 0 4",
    ]
    assert "ends 12" in told[0].text
