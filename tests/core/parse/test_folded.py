"""The grammar of folded stacks, with the cases that other readers get wrong."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA, folded_counts, stack_counts
from tailflame.analyse.layout import lay_out
from tailflame.analyse.tree import build_tree
from tailflame.errors import Cancelled, ParseError, UnknownFormat
from tailflame.model import FrameKind, Recording, StackProfile
from tailflame.parse import folded, load
from tailflame.parse.folded import FOLDED
from tailflame.parse.source import HEAD


def read(folder: Path, text: str | bytes) -> Recording:
    path = folder / "stacks.folded"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, format="folded")


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def counts(folder: Path, text: str | bytes) -> dict[str, float]:
    return stack_counts(profile_of(read(folder, text)))


def kinds(profile: StackProfile) -> dict[str, FrameKind]:
    return dict(zip(profile.frames.names(), map(FrameKind, profile.frames.kind.tolist()), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b 3\na 2\n", {"a;b": 3, "a": 2}),
        ("a;b 3", {"a;b": 3}),
        ("a;b\t3\na  2\n", {"a;b": 3, "a": 2}),
        ("a;b 1.5\na;c 2.\na 0.25\n", {"a;b": 1.5, "a;c": 2, "a": 0.25}),
        ("a;b 3  \n", {"a;b": 3}),
        ("  a;b 3\n", {"  a;b": 3}),
        ("a;b 3\r\na 2\r\n", {"a;b": 3, "a": 2}),
        ("\n\n# by hand\n#\na;b 3\n\n", {"a;b": 3}),
        ("#include;b 3\n", {"#include;b": 3}),
        ("operator new(unsigned long);std::function<int (int)>;x 12 y 3\n", {
            "operator new(unsigned long);std::function<int (int)>;x 12 y": 3
        }),
        ("a;;b 1\n;c 2\n", {"a;;b": 1, ";c": 2}),
        ("a;b; 1\n", {"a;b": 1}),
        ("a;b 1\na;b 2\n", {"a;b": 3}),
        ("a;b 0\na 1\n", {"a": 1}),
        (" 7\na;b 1\n", {"": 7, "a;b": 1}),
        ("[u8; 8];x 1\n", {"[u8; 8];x": 1}),
        ("-;--;a 4\n", {"-;--;a": 4}),
        ("a;b 3\na;b c\na;b -2\na;b 1e3\na;b ²\nlonely\n5\n", {"a;b": 3}),
        ("a 9007199254740993\n", {"a": 9007199254740992}),
    ],
)  # fmt: skip
def test_the_grammar(tmp_path: Path, text: str, expected: dict[str, float]) -> None:
    assert counts(tmp_path, text) == expected


def test_a_recording_of_the_demo_agrees_with_its_plainest_reading() -> None:
    path = DATA / "flamegraph" / "stacks.folded"
    profile = profile_of(load(path))
    bare = path.read_text().replace("_[k]", "").replace("_[j]", "")
    assert stack_counts(profile) == folded_counts(bare)
    assert profile.total() == 5137
    assert kinds(profile)["entry_SYSCALL_64_after_hwframe"] is FrameKind.KERNEL
    assert kinds(profile)["start_thread"] is FrameKind.USER


def test_a_stack_that_comes_again_takes_no_memory(tmp_path: Path) -> None:
    """A few kilobytes unpack to gigabytes of one line."""
    profile = profile_of(read(tmp_path, "main;a 1\nmain;b 2\n" * 5_000 + "main;a 7\n"))
    assert len(profile.samples) == 2
    assert stack_counts(profile) == {"main;a": 5_007, "main;b": 10_000}


def test_utf16_from_powershell(tmp_path: Path) -> None:
    assert counts(tmp_path, "main;läuft 3\r\nmain 2\r\n".encode("utf-16")) == {"main;läuft": 3, "main": 2}


def test_ignored_lines_are_counted_and_the_first_is_shown(tmp_path: Path) -> None:
    recording = read(tmp_path, "a;b 3\n# comment\nWarning: lost it\na;b x\nc 1\n" + "y" * 100 + "\n")
    (caution,) = recording.warnings
    assert caution.text == "3 lines without a count were ignored (the first is line 3: “Warning: lost it”)."
    assert not read(tmp_path, "a;b 3\n").warnings


def test_a_count_beyond_all_numbers_is_no_count(tmp_path: Path) -> None:
    recording = read(tmp_path, f"a;b 3\na;c {'9' * 5000}\n")
    assert stack_counts(profile_of(recording)) == {"a;b": 3}
    assert "1 line without a count" in recording.warnings[0].text


def test_annotations_become_kinds(tmp_path: Path) -> None:
    profile = profile_of(read(tmp_path, "java;run_[j];inner_[i];sys_read_[k];wake_[w];[libc.so.6];[unknown];- 1\n"))
    assert kinds(profile) == {
        "java": FrameKind.USER,
        "run": FrameKind.JIT,
        "inner": FrameKind.INLINED,
        "sys_read": FrameKind.KERNEL,
        "wake": FrameKind.OTHER,
        "[libc.so.6]": FrameKind.OTHER,
        "[unknown]": FrameKind.OTHER,
        "-": FrameKind.OTHER,
    }
    modules = [profile.frames.module_of(i) for i in range(len(profile.frames))]
    assert modules == ["", "", "", "", "", "libc.so.6", "", ""]


def test_without_kernel_marks_nothing_is_claimed(tmp_path: Path) -> None:
    assert set(kinds(profile_of(read(tmp_path, "a;b_[j] 1\na;libc`read 2\n"))).items()) == {
        ("a", FrameKind.UNKNOWN),
        ("b", FrameKind.JIT),
        ("libc`read", FrameKind.UNKNOWN),
    }


class TestDifferential:
    def test_two_counts_in_every_line_are_two_profiles(self, tmp_path: Path) -> None:
        recording = read(tmp_path, "a;b 3 5\na;gone 2 0\na;new 0 1.5\n")
        assert recording.baseline is not None
        assert stack_counts(recording.baseline) == {"a;b": 3, "a;gone": 2}
        assert stack_counts(profile_of(recording)) == {"a;b": 5, "a;new": 1.5}
        assert "gone" not in profile_of(recording).frames.names(), "the sides share nothing"

    def test_one_line_with_one_count_makes_it_a_plain_file(self, tmp_path: Path) -> None:
        recording = read(tmp_path, "main;thread 12 5\nmain;thread 13 4\nmain 1\n")
        assert recording.baseline is None
        assert stack_counts(profile_of(recording)) == {"main;thread 12": 5, "main;thread 13": 4, "main": 1}

    def test_lines_without_a_count_decide_nothing(self, tmp_path: Path) -> None:
        recording = read(tmp_path, "# by difffolded\nnoise\na;b 3 5\n")
        assert recording.baseline is not None
        assert len(recording.warnings) == 1

    def test_difffolded_of_the_demo(self) -> None:
        folder = DATA / "flamegraph"
        recording = load(folder / "stacks-differential.folded")
        assert recording.baseline is not None
        assert stack_counts(recording.baseline) == stack_counts(profile_of(load(folder / "stacks.folded")))
        assert stack_counts(profile_of(recording)) == stack_counts(profile_of(load(folder / "stacks-after.folded")))


class TestSniff:
    @pytest.mark.parametrize(
        "text", ["main;work 3\n", "main;work 3\nmain;work 12 5\n", "main 5\nwork 3\n", "a;b 1 2\n", "a;b\t1\n"]
    )
    def test_folded_stacks(self, text: str) -> None:
        assert FOLDED.sniff(text.encode(), "x") > 0
        assert FOLDED.sniff(text.encode("utf-16"), "x") > 0
        assert FOLDED.sniff(text.replace("\n", "\r\n").encode(), "x") > 0

    @pytest.mark.parametrize(
        "content",
        [
            b"\x7fELF" + bytes(range(256)) * 4,
            b"PERFILE2" + bytes(2000),
            b'<svg><g><title>main (3 samples, 100%)</title><rect x="1" y="2" width="3"/></g></svg>\n',
            b'{"a": 1,\n "b": 2\n}\n',
            b"main 1234 10.5: 1 cycles: \n\t ffff main+0x1 (/bin/x)\n\t ffff start+0x1 (/bin/x)\n\n" * 20,
            b"Dear reader,\nthis is a letter.\nIt has 3 lines;\n",
            b"       Value     Percentile TotalCount\n   0.12 0.500000 50\n   0.15 0.900000 90\n",
            b"cpu 1 2 3\ncpu0 1 2 3\nintr 5 6\n",
            b"1 2\n3 4\n",
            b"",
            b"\n\n",
        ],
        ids=["elf", "perf.data", "svg", "json", "perf script", "letter", "hgrm", "stat", "table", "empty", "blank"],
    )  # fmt: skip
    def test_what_is_not(self, content: bytes) -> None:
        assert FOLDED.sniff(content, "x") < 0

    def test_a_head_cut_within_a_line_is_judged_by_its_whole_lines(self) -> None:
        head = (b"main;work 3\n" * 10_000)[: 64 * 1024]
        assert FOLDED.sniff(head, "x") > 0.5

    def test_the_name_breaks_ties_only(self) -> None:
        plain, named = (FOLDED.sniff(b"main;work 3\n", name) for name in ("x", "x.folded"))
        assert 0 < named - plain < 0.06


@pytest.mark.parametrize("before", ["", "# recorded on Monday\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_first_line_longer_than_the_head_is_known_for_stacks(tmp_path: Path, before: str, encoding: str) -> None:
    path = tmp_path / "unknown"
    deep = ";".join(f"recursive_function_{n % 7}" for n in range(10_000))
    path.write_text(f"{before}{deep} 42\nmain;{deep} 3\n", encoding=encoding)
    assert path.stat().st_size > 2 * HEAD
    recording = load(path)
    assert (recording.format, recording.profile and recording.profile.total()) == ("folded", 45)


@pytest.mark.parametrize("text", ["x" * 200_000, "one word after another " * 10_000, "; " + "x" * 200_000])
def test_another_long_line_is_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text"
    path.write_text(text)
    with pytest.raises(UnknownFormat):
        load(path)


def test_ten_thousand_frames_deep(tmp_path: Path) -> None:
    began = time.monotonic()
    profile = profile_of(read(tmp_path, "main" + ";recurse" * 10_000 + " 3\nmain 1\n"))
    assert int(profile.stacks.depths().max()) == 10_000
    assert profile.total() == 4
    assert time.monotonic() - began < 5


def test_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"main;f{i % 7};g{i % 11};h{i % 3} {i + 1}\n" for i in range(500))
    whole = counts(tmp_path, text)
    monkeypatch.setattr(folded, "_BATCH", 5)
    profile = profile_of(read(tmp_path, text))
    assert stack_counts(profile) == whole == folded_counts(text)
    pairs = set(zip(profile.stacks.parent.tolist(), profile.stacks.frame.tolist(), strict=True))
    assert len(pairs) == len(profile.stacks), "no two rows share parent and frame"
    assert (profile.stacks.parent < np.arange(len(profile.stacks))).all(), "parents come first"


def test_frames_by_name_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"main;z{i % 7};g{i % 11}_[k];b{i % 3} {i + 1}\n" for i in range(300)) + " 3\n"
    first = profile_of(read(tmp_path, text))
    monkeypatch.setattr(folded, "_LARGE", 0)
    by_name = profile_of(read(tmp_path, text))
    assert stack_counts(by_name) == stack_counts(first)
    assert kinds(by_name) == kinds(first)
    assert by_name.frames.names() == sorted(by_name.frames.names()) != first.frames.names()
    tree = build_tree(by_name)
    assert lay_out(tree).node.tolist() == list(range(len(tree))), "siblings stand as they are drawn"


def test_repeated_lines_cost_twelve_bytes_each(tmp_path: Path) -> None:
    profile = profile_of(read(tmp_path, "main;work;deeper 1\n" * 100_000))
    assert profile.total() == 100_000
    assert len(profile.stacks) == 3


def test_progress_and_cancel(tmp_path: Path) -> None:
    path = tmp_path / "big.folded"
    path.write_text("main;work;deeper 1\n" * 300_000)
    seen: list[float] = []
    load(path, progress=seen.append)
    assert len(seen) > 3

    def stop(share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        load(path, progress=stop)


def test_counts_that_cannot_be_samples_are_doubted() -> None:
    recording = load(DATA / "flamegraph" / "stacks-period.folded")
    assert "5,152,457,233" in recording.warnings[0].text
    assert not load(DATA / "flamegraph" / "stacks.folded").warnings


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="no line ends in a count") as told:
        read(tmp_path, "just\nwords\n")
    assert "main;parse;read 42" in told.value.advice


NAMES = st.text(
    st.characters(exclude_characters=";\r\n", exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1
).filter(lambda name: name[-4:] not in {"_[k]", "_[i]", "_[j]", "_[w]"} and not name.startswith("#"))


@settings(max_examples=50)
@given(stacks=st.dictionaries(st.lists(NAMES, min_size=1).map(";".join), st.integers(1, 10**12), min_size=1))
def test_any_stacks_are_read_as_written(tmp_path: Path, stacks: dict[str, int]) -> None:
    text = "".join(f"{stack} {count}\n" for stack, count in stacks.items())
    assert counts(tmp_path, text) == stacks


@settings(max_examples=50)
@given(content=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    try:
        read(tmp_path, content)
    except ParseError as error:
        assert error.sentence.endswith(".")
