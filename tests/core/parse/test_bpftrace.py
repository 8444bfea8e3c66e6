"""All that bpftrace prints: every figure is the program's own, and what is not known is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording
from tailflame.model.maps import STACK, MapKind, ProbeMap
from tailflame.parse import load
from tailflame.parse.bpftrace import BPFTRACE, NO_STACK
from tailflame.parse.bpftrace_output import LAST_POWER
from tailflame.parse.bpftrace_stacks import frames_of, in_kernel, key_parts
from tailflame.parse.bpftrace_syscalls import syscall_names
from tailflame.units import Unit

MAPS = DATA / "bpftrace" / "0.17.0" / "maps"
RECIPES = DATA / "bpftrace" / "0.17.0" / "recipes"
BOTH = pytest.mark.parametrize("name", ["maps.txt", "maps.json"])
N = range(1, 201)


def read(folder: Path, text: str) -> Recording:
    path = folder / "out"
    path.write_text(text)
    return load(path)


def maps_of(recording: Recording) -> dict[str, ProbeMap]:
    assert recording.maps is not None
    return {one.name: one for one in recording.maps.maps}


def values(one: ProbeMap) -> dict[tuple[str, ...], tuple[int | float, ...]]:
    return {row.key: row.values for row in one.rows}


def line(kind: str, data: object) -> str:
    return json.dumps({"type": kind, "data": data}) + "\n"


@BOTH
def test_every_figure_is_the_programs_own(name: str) -> None:
    maps = maps_of(load(MAPS / name))
    assert values(maps["@third"]) == {(str(k),): (sum(n % 3 == k for n in N),) for k in range(3)}
    assert values(maps["@all"]) == {(): (2**64 - 1,)}
    assert values(maps["@neg"]) == {(): (-5,)}
    assert values(maps["@least"]) == {(): (11,)}
    assert values(maps["@most"]) == {(): (200,)}
    assert values(maps["@mean"]) == {(): (sum(N) // len(N),)}
    assert values(maps["@whole"]) == {(): (200, 2 * sum(N) // 200, 2 * sum(N))}
    even, odd = [n for n in N if n % 2 == 0], [n for n in N if n % 2]
    assert values(maps["@stats"]) == {
        ("0",): (100, sum(even) // 100, sum(even)),
        ("1",): (100, sum(odd) // 100, sum(odd)),
    }
    assert [row.text for row in maps["@word"].rows] == ["hello, you"]
    assert [row.text for row in maps["@pair"].rows] == ["(1, s,t)"]
    assert maps["@hist"].kind is MapKind.HIST and maps["@steps"].kind is MapKind.LHIST
    assert [row.number for row in maps["@hist"].rows] == [100, 100]
    assert [b.count for b in maps["@steps"].rows[0].buckets] == [24, 25, 25, 25, 101]
    assert maps["@stack"].keys == (STACK,) and maps["@stack"].total == 200


@BOTH
def test_keys_that_look_alike_are_added_up(name: str) -> None:
    """bpftrace prints "a,b" several times: a plain reader of JSON would keep the last one alone."""
    recording = load(MAPS / name)
    assert values(maps_of(recording)["@who"]) == {("a,b",): (100,), ("c",): (100,)}
    assert any("@who hold commas of their own" in caution.text for caution in recording.warnings)


@BOTH
def test_the_last_of_hists_buckets_is_open(name: str) -> None:
    """hist has 32 buckets: JSON writes the last one with a number that ran over, text as if it ended."""
    recording = load(MAPS / name)
    last = maps_of(recording)["@large"].rows[0].buckets[-1]
    assert (last.low, last.high) == (LAST_POWER, None)
    assert last.count == sum(n * 50_000_000 >= LAST_POWER for n in N)
    assert any(caution.text.startswith("Of @large, 158 lie at 2,147,483,648") for caution in recording.warnings)


@BOTH
def test_what_was_printed_stays(name: str) -> None:
    maps = load(MAPS / name).maps
    assert maps is not None
    assert maps.text == "begin, a|b\nat 50\nat 100\nat 150\nat 200\n"
    assert maps.probes == 3


def test_text_and_json_say_the_same() -> None:
    text, as_json = load(MAPS / "maps.txt"), load(MAPS / "maps.json")
    assert text.warnings == as_json.warnings
    one, other = maps_of(text), maps_of(as_json)
    assert one.keys() == other.keys()
    for name in one.keys() - {"@stack", "@sum"}:  # the kernel's stacks differ; so does a blank behind a comma
        assert {row.key: row for row in one[name].rows} == {row.key: row for row in other[name].rows}


def test_a_file_of_any_name_is_known_by_its_content(tmp_path: Path) -> None:
    for name in ("maps.txt", "maps.json"):
        (tmp_path / "unknown").write_bytes((MAPS / name).read_bytes())
        again, known = load(tmp_path / "unknown"), load(MAPS / name)
        assert again.format == "bpftrace"
        assert again.maps == known.maps


def test_a_recipe_says_what_its_maps_are() -> None:
    recording = load(RECIPES / "syscalls.json")
    assert recording.maps is not None
    assert recording.maps.recipe == "syscalls"
    maps = maps_of(recording)
    assert list(maps) == ["@calls", "@total_ns", "@max_ns", "@errors", "@latency_ns"]
    assert maps["@calls"].title == "Calls" and maps["@calls"].keys == ("syscall",)
    calls = values(maps["@calls"])
    printed = [json.loads(text)["data"] for text in (RECIPES / "syscalls.json").read_text().split("\n") if text]
    last = next(data["@calls"] for data in reversed(printed) if "@calls" in data)
    assert calls[("write",)] == (last["1"],)
    assert maps["@calls"].total == sum(last.values())
    assert calls[("execve",)] == (1,)
    assert values(maps["@errors"])[("access", "ENOENT")] == (1,)
    # Each call was counted three ways.
    assert maps["@latency_ns"].total == maps["@calls"].total
    assert {row.key: row.number for row in maps["@latency_ns"].rows} == {key: n for key, (n,) in calls.items()}
    assert values(maps["@max_ns"]).keys() == calls.keys() == values(maps["@total_ns"]).keys()
    assert recording.histograms is not None and recording.histograms.unit == "ns"
    assert "@latency_ns[write]" in recording.histograms.tags
    assert not any("was printed" in caution.text for caution in recording.warnings)


def test_stacks_are_a_profile() -> None:
    recording = load(RECIPES / "off-cpu.json")
    profile, maps = recording.profile, maps_of(recording)
    assert profile is not None
    (event,) = profile.events
    assert (event.name, event.unit, event.counted_in, event.exact) == (
        "Off-CPU time", Unit.NANOSECONDS, Unit.CALLS, True,
    )  # fmt: skip
    assert profile.samples.period.sum() == maps["@off_ns"].total == maps["@wait_ns"].total
    assert profile.total() == sum(row.values[0] for row in maps["@off_ns"].rows) == maps["@latency_ns"].total
    # The program is not here: its addresses stay addresses, in the module that they lie in.
    modules = {profile.frames.module_of(n) for n in range(len(profile.frames))}
    assert "/opt/trading-system" in modules
    assert any("addresses have no name" in caution.text for caution in recording.warnings)


def test_frames_of_every_kind() -> None:
    stack = "\n    leaf+12\n    0x55d0cf\n    main+0x1f\n"
    assert [(f.name, f.address) for f in frames_of(stack)] == [("leaf", -1), ("", 0x55D0CF), ("main", -1)]
    perf = "\n\t7f10 write+20 (/usr/lib/libc.so.6)\n\t55d0 0x55d0 ([unknown])\n"
    assert [(f.name, f.address, f.module) for f in frames_of(perf)] == [
        ("write", 0x7F10, "/usr/lib/libc.so.6"), ("", 0x55D0, ""),
    ]  # fmt: skip
    assert not in_kernel(frames_of(perf))
    assert in_kernel(frames_of("\n    schedule+3\n    do_syscall_64+1\n    entry_SYSCALL_64_after_hwframe+118\n"))
    assert in_kernel(frames_of("\n\tffffffff81 schedule+3\n".replace("ffffffff81", "ffffffff81000000") + "")) is False
    assert in_kernel(frames_of("\n\tffffffff81000000 schedule+3 ([kernel.kallsyms])\n"))


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("a,b", ("a", "b")),
        ("\n    f+1\n,engine-0", ("\n    f+1\n", "engine-0")),
        ("7,\n    f+1\n    g\n", ("7", "\n    f+1\n    g\n")),
        (",comm", ("", "comm")),
        ("", ("",)),
        ("\n    k\n,\n    u\n,x", ("\n    k\n", "\n    u\n", "x")),
    ],
)
def test_the_parts_of_a_key(key: str, parts: tuple[str, ...]) -> None:
    assert key_parts(key) == parts


def test_a_known_number_of_parts_leaves_commas_to_the_last() -> None:
    assert key_parts("3,a,b,c", 2) == ("3", "a,b,c")


def test_user_and_kernel_stacks_of_one_key_join(tmp_path: Path) -> None:
    user = "\n    write+20\n    main+3\n"
    kernel = "\n    ksys_write+5\n    entry_SYSCALL_64_after_hwframe+118\n"
    profile = read(tmp_path, line("map", {"@": {f"{kernel},{user},app": 3, f"{kernel},,kworker": 2}})).profile
    assert profile is not None
    rows = [
        [profile.frames.name_of(int(profile.stacks.frame[at])) for at in profile.stacks.path(int(stack))]
        for stack in profile.samples.stack
    ]
    assert rows == [
        ["app", "main", "write", "entry_SYSCALL_64_after_hwframe", "ksys_write"],
        ["kworker", "entry_SYSCALL_64_after_hwframe", "ksys_write"],
    ]
    assert profile.samples.count.tolist() == [3, 2]
    assert not profile.events[0].exact, "nothing tells a count from samples"
    kinds = {profile.frames.name_of(n): FrameKind(int(profile.frames.kind[n])) for n in range(len(profile.frames))}
    assert kinds["ksys_write"] is FrameKind.KERNEL and kinds["main"] is FrameKind.USER


def test_an_empty_stack_is_called_so(tmp_path: Path) -> None:
    text = line("printf", "tailflame-map|@s|Samples|samples|stack\n") + line("map", {"@s": {"": 4}})
    recording = read(tmp_path, text)
    assert maps_of(recording)["@s"].rows[0].key == (NO_STACK,)
    assert recording.profile is not None and recording.profile.total() == 4


def test_a_key_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(line("map", {"@n": {"name": 5}}).encode().replace(b"name", b"caf\xc3"))
    recording = load(path)
    assert values(maps_of(recording)["@n"]) == {(r"caf\xc3",): (5,)}
    assert recording.warnings == ()


def test_the_last_print_counts(tmp_path: Path) -> None:
    recording = read(tmp_path, line("map", {"@n": {"a": 5, "b": 7}}) + line("map", {"@n": {"a": 6, "b": 9}}))
    assert values(maps_of(recording)["@n"]) == {("a",): (6,), ("b",): (9,)}
    assert recording.warnings == ()


def test_a_map_that_was_cleared_in_between_says_so(tmp_path: Path) -> None:
    recording = read(tmp_path, line("map", {"@n": {"a": 5, "b": 7}}) + line("map", {"@n": {"b": 1}}))
    assert values(maps_of(recording)["@n"]) == {("b",): (1,)}
    assert "cleared in between: only its last print" in recording.warnings[0].text


def test_prints_of_one_map_in_text_are_told_apart(tmp_path: Path) -> None:
    recording = read(tmp_path, "Attaching 1 probe...\n@x[a]: 1\n@x[a]: 2\n@x[b]: 2\n@x[a]: 3\n@x[b]: 4\n")
    assert values(maps_of(recording)["@x"]) == {("a",): (3,), ("b",): (4,)}


def test_lost_events_are_added_up(tmp_path: Path) -> None:
    recording = read(tmp_path, line("lost_events", {"events": 3}) * 2 + line("map", {"@n": 1}))
    assert recording.maps is not None and recording.maps.lost == recording.meta.lost == 6
    assert recording.warnings[0].text.startswith("bpftrace lost 6 events")


def test_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "crlf").write_bytes((MAPS / "maps.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert load(tmp_path / "crlf").maps == load(MAPS / "maps.txt").maps


@pytest.mark.parametrize(
    "path", [MAPS / "maps.txt", MAPS / "maps.json", RECIPES / "off-cpu.json"], ids=lambda p: p.name
)
def test_cut_at_every_line_it_is_read_as_far_as_it_goes(tmp_path: Path, path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    for end in range(1, len(lines)):
        (tmp_path / "cut").write_bytes(b"\n".join(lines[:end]))
        recording = load(tmp_path / "cut", format="bpftrace")
        assert recording.maps is not None
    whole = path.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) - 40])
    assert load(tmp_path / "cut").maps is not None


@pytest.mark.parametrize(
    "data",
    [
        {"@n": {"a": 2**64}},
        {"@n": None},
        {"@n": {"a": True}},
        {"n": 3},
        [],
        "x",
        {"@n": {"a": {"count": -1, "average": 1, "total": 1}}},
        {"@n": {"a": {"count": 1}}},
    ],
)
def test_what_cannot_be_is_a_sentence(tmp_path: Path, data: object) -> None:
    path = tmp_path / "out"
    path.write_text(line("map", data))
    with pytest.raises(ParseError, match="line 1: "):
        load(path, format="bpftrace")
    recording = read(tmp_path, line("map", {"@ok": 1}) + line("map", data))
    assert values(maps_of(recording)["@ok"]) == {(): (1,)}
    assert "1 line was left out (line 2: " in recording.warnings[-1].text


def test_other_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("main;f 3\n")
    with pytest.raises(ParseError, match="nothing that bpftrace prints"):
        load(tmp_path / "x", format="bpftrace")
    assert BPFTRACE.sniff(b"main;f 3\n", "x.json") < 0
    assert BPFTRACE.sniff(b'{"type": "event", "data": 1}\n', "x") < 0
    assert BPFTRACE.sniff(b"Attaching 3 probes...\n", "x") > 0.5


def test_syscalls_have_their_names() -> None:
    x86, arm = syscall_names("x86_64"), syscall_names("aarch64")
    assert (x86[0], x86[1], x86[9], x86[202], x86[230], x86[435]) == (
        "read", "write", "mmap", "futex", "clock_nanosleep", "clone3",
    )  # fmt: skip
    assert (arm[63], arm[64], arm[98], arm[222]) == ("read", "write", "futex", "mmap")
    assert syscall_names("vax") == {}


KEYS = st.text(alphabet="ab,\n 0x+[]:", max_size=12)
VALUE = st.one_of(
    st.integers(-(2**66), 2**66), st.text(max_size=5), st.booleans(), st.none(), st.lists(st.integers(), max_size=2)
)


TYPES = st.sampled_from(["map", "stats", "hist", "printf", "lost_events", "cat"])
MAP = st.one_of(VALUE, st.dictionaries(KEYS, VALUE, max_size=4))
DATA_OF_LINE = st.one_of(VALUE, st.dictionaries(st.sampled_from(["@a", "@b", "c"]), MAP, max_size=2))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TYPES, DATA_OF_LINE), max_size=6))
def test_any_json_is_read_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("b") / "out"
    path.write_text("".join(line(kind, data) for kind, data in lines) + " ")
    try:
        recording = load(path, format="bpftrace")
    except ParseError as error:
        assert error.sentence
        return
    assert recording.maps is not None
    for one in recording.maps.maps:
        for row in one.rows:
            assert all(isinstance(value, int | float) for value in row.values)


TEXT_LINES = st.one_of(
    st.sampled_from(["@a[x]: 1", "@a[x]: ", "@a[", "    f+1", "]: 3", ", c]: 2", "", "[1, 2) 3 |@ |", "@b: ", "@c: -4",
                     "@d[1]: count 2, average 3, total 6", "Lost 3 events", "7f00-7f10 r-xp 0 0:0 3 /x", "words"]),
    st.text(alphabet="@[]:, 0123abc|.\t", max_size=20),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT_LINES, max_size=20))
def test_any_text_is_read_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("b") / "out"
    path.write_text("\n".join(lines) + "\n.")
    try:
        recording = load(path, format="bpftrace")
    except ParseError as error:
        assert error.sentence
    else:
        assert recording.maps is not None
