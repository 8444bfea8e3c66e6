"""Texts of perf script: recorded ones against perf report's own answer, made-up ones against what they say."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from helpers.environment import DATA
from helpers.perf_report import PerfReport
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.parse.perf_script import PERF_SCRIPT, PerfText
from tailflame.parse.source import Source
from tailflame.units import Unit

FOLDER = DATA / "perf" / "6.1.187"
NAMES = {"worker 12", "a", "semi;colon", "(paren) 9", "[cpu] 3.5:", "0x1f"}
FP = ("default", "all", "srcline", "without-period", "without-time", "without-header", "without-modules")


def written(tmp_path: Path, text: str) -> Recording:
    path = tmp_path / "out.txt"
    path.write_text(text)
    return PERF_SCRIPT.load(Source(path))


def read(text: str) -> StackProfile:
    reader = PerfText()
    reader.feed(text.encode())
    return reader.finish().profile()


def stacks(profile: StackProfile) -> list[str]:
    """Each sample's stack as text, root first."""
    names = profile.frames.names()
    return [
        ";".join(names[profile.stacks.frame[row]] for row in profile.stacks.path(int(stack)))
        for stack in profile.samples.stack
    ]


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


@pytest.mark.parametrize("shape", FP)
def test_every_shape_of_one_recording_gives_what_perf_report_says(shape: str) -> None:
    recording = load(FOLDER / f"fp-{shape}.txt.gz")
    profile = profile_of(recording)
    assert recording.format == "perf-script"
    assert recording.warnings == ()
    report = PerfReport.read(FOLDER / "fp.report.txt")
    (event,) = report.events
    ours = Counter[str]()
    for stack in stacks(profile):
        ours[stack.rsplit(";", 1)[-1]] += 1
    theirs = Counter[str]()
    for row in event.rows:
        theirs[row.symbol if not row.is_unresolved else f"[{row.module}]"] += row.samples
    assert ours == theirs
    if shape != "without-header":
        assert {thread.name for thread in profile.threads} == NAMES
    if shape in ("default", "all", "srcline", "without-time", "without-modules"):
        assert profile.total(weight=Weight.PERIOD) == event.period
    if "time" not in shape and shape != "without-header":
        assert profile.samples.time_ns.min() > 0
        assert (profile.samples.time_ns[1:] >= profile.samples.time_ns[:-1]).all()


def test_all_shapes_of_one_recording_have_the_same_stacks() -> None:
    def functions(shape: str) -> Counter[str]:
        """Without the thread's name, and without modules: not every shape has them."""
        found = stacks(profile_of(load(FOLDER / f"fp-{shape}.txt.gz")))
        return Counter(s.split(";", s.startswith("semi;") + 1)[-1] if shape != "without-header" else s for s in found)

    first = functions("default")
    assert sum(first.values()) == 849
    for shape in FP[1:]:
        assert functions(shape) == first


def test_samples_without_call_chains() -> None:
    theirs = Counter[str]()
    for row in PerfReport.read(FOLDER / "flat.report.txt").events[0].rows:
        theirs[row.comm] += row.samples
    for shape in ("flat-default", "flat-without-time"):
        profile = profile_of(load(FOLDER / f"{shape}.txt.gz"))
        ours = Counter(profile.threads[i].name for i in profile.samples.thread)
        assert ours == theirs
        assert {s.rsplit(";", 1)[0] for s in stacks(profile)} == set(theirs)


def test_each_event_keeps_its_own_weights() -> None:
    profile = profile_of(load(FOLDER / "events-default.txt.gz"))
    report = PerfReport.read(FOLDER / "events.report.txt")
    ours = {
        event.name: (profile.total(event=i), profile.total(event=i, weight=Weight.PERIOD), event.unit)
        for i, event in enumerate(profile.events)
    }
    theirs = {e.name: (e.samples, e.period) for e in report.events}
    assert {name: (samples, period) for name, (samples, period, _) in ours.items()} == theirs
    assert {name: unit for name, (_, _, unit) in ours.items()} == {
        "cpu-clock": Unit.NANOSECONDS,
        "page-faults": Unit.EVENTS,
        "context-switches": Unit.EVENTS,
    }


def test_what_the_header_says() -> None:
    meta = load(FOLDER / "fp-all.txt.gz").meta
    assert meta.command == ("./spin",)
    assert (meta.rate_asked_hz, meta.rate_granted_hz, meta.tool_version) == (997, 997, "6.1.187")
    assert (meta.machine.arch, meta.machine.cpus, meta.machine.kernel[:4]) == ("x86_64", 2, "6.18")
    assert meta.started_at is not None and meta.started_at.year == 2026
    assert meta.duration_s == pytest.approx(0.461, abs=0.01)


def test_tracepoints_keep_their_name_and_drop_their_text() -> None:
    profile = profile_of(load(FOLDER / "tracepoint.txt.gz"))
    assert [event.name for event in profile.events] == ["sched:sched_switch"]
    assert len(profile.samples) == 120
    assert {s.split(";")[-1] for s in stacks(profile)} == {"__schedule"}
    assert {t.name for t in profile.threads} <= NAMES | {"spin"}


def test_the_last_record_needs_no_empty_line(tmp_path: Path) -> None:
    text = gzip.decompress((FOLDER / "fp-default.txt.gz").read_bytes()).decode()
    assert len(profile_of(written(tmp_path, text.rstrip())).samples) == 849


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_encodings(tmp_path: Path, end: str, encoding: str) -> None:
    path = tmp_path / "out.txt"
    text = "λ 7/7 1.500000: cycles: \n\t 12 f+0x1 (/x)\n\nλ 7/7 1.600000: cycles: \n\t 12 g+0x1 (/x)\n"
    path.write_bytes(text.replace("\n", end).encode(encoding))
    assert stacks(profile_of(load(path))) == ["λ;f", "λ;g"]


def test_the_pieces_of_a_text_may_end_anywhere() -> None:
    text = gzip.decompress((FOLDER / "dwarf-default.txt.gz").read_bytes())
    expected = stacks(read(text.decode()))
    for size in (1, 7, 4096):
        reader = PerfText()
        for at in range(0, len(text), size):
            reader.feed(text[at : at + size])
        assert stacks(reader.finish().profile()) == expected


def test_inlined_frames_belong_to_the_function_at_their_address() -> None:
    profile = read(
        "t 7/7 1.500000: cycles: \n"
        "\t 20 twist+0x8 (inlined)\n\t 20 blend+0x8 (inlined)\n\t 20 churn+0x8 (/opt/spin)\n"
        "\t 99 __libc_start_main_impl+0x84 (inlined)\n"  # no inlined frame: _start is elsewhere
        "\t 40 _start+0x8 (/opt/spin)\n\n"
    )
    kinds = [FrameKind(k).name for k in profile.frames.kind]
    shown = dict(zip(profile.frames.names(), kinds, strict=True))
    assert stacks(profile) == ["t;_start;__libc_start_main_impl;churn;blend;twist"]
    assert shown == {
        "t": "OTHER", "_start": "USER", "__libc_start_main_impl": "USER", "churn": "USER",
        "blend": "INLINED", "twist": "INLINED",
    }  # fmt: skip
    modules = {name: profile.frames.module_of(i) for i, name in enumerate(profile.frames.names())}
    assert (modules["twist"], modules["__libc_start_main_impl"]) == ("/opt/spin", "")


def test_source_lines_part_the_frames_of_one_function() -> None:
    profile = profile_of(load(FOLDER / "fp-srcline.txt.gz"))
    places = {profile.frames.place_of(i) for i, n in enumerate(profile.frames.names()) if n == "churn"}
    assert "spin.c:13" in places and len(places) > 2


def test_simpleperf_writes_tabs() -> None:
    profile = read(
        "surfaceflinger\t503/510 [002] 1.123456:\t 250000 cpu-cycles:u: \n"
        "\t    7f00\tandroid::Layer::draw() (/system/lib64/libsf.so)\n"
        "\t    7f10\tmain (/system/bin/sf)\n\n"
    )
    assert stacks(profile) == ["surfaceflinger;main;android::Layer::draw()"]
    assert profile.threads == (Thread("surfaceflinger", 503, 510),)
    assert (profile.samples.period[0], profile.samples.cpu[0], profile.events[0].name) == (250000, 2, "cpu-cycles:u")


def test_deferred_user_frames_join_the_samples_that_wait_for_them() -> None:
    kernel = "pwd    2312   121.1634{:02}:     249113 cycles: \n\tffffffff845b78d8 f+0x2 ([kernel.kallsyms])\n"
    waits = "\t       b00000006 (cookie) ([unknown])\n\n"
    profile = read(
        kernel.format(1) + waits + kernel.format(2) + waits + kernel.format(3) + "\n"
        "pwd    2312   121.163447: DEFERRED CALLCHAIN [cookie: b00000006]\n"
        "\t    7f18fe337fa7 mprotect+0x7 (/lib/ld.so)\n\t    7f18fe330e0f start+0x7f (/lib/ld.so)\n\n"
        + kernel.format(50) + waits  # its frames never come
    )  # fmt: skip
    assert stacks(profile) == ["pwd;start;mprotect;f"] * 2 + ["pwd;f"] * 2


def test_a_sample_without_frames_still_counts() -> None:
    profile = read("t 7/7 1.500000: cycles: \n\nt 7/7 1.600000: cycles: \n\t 1 f (/x)\n\nt 7 1.700000: foo:bar: text\n")
    assert stacks(profile) == ["t", "t;f", "t"]


def test_frames_whose_tabs_became_blanks() -> None:
    text = gzip.decompress((FOLDER / "fp-default.txt.gz").read_bytes()).decode()
    assert stacks(read(text.replace("\t", "        "))) == stacks(read(text))
    indented = "    t 7/7 1.500000: cycles: \n        12 f+0x1 (/x)\n        14 g+0x1 (/x)\n\n"
    assert stacks(read(indented)) == ["t;g;f"]


def test_frames_whose_tabs_were_taken_away() -> None:
    text = gzip.decompress((FOLDER / "fp-default.txt.gz").read_bytes()).decode()
    stripped = "\n".join(line.lstrip() if line.startswith("\tffff") else line for line in text.split("\n"))
    assert stacks(read(stripped)) == stacks(read(text))
    assert stacks(read("java 19983 cycles:\nffffffff8103d0ca f ([k])\nffffffff8103d0cb g ([k])\n\n")) == ["java;g;f"]


def test_lines_that_are_not_perfs_are_told(tmp_path: Path) -> None:
    text = "t 7/7 1.500000: cycles: \n\t 12 f+0x1 (/x)\n\nfailed to open /tmp/perf-7.map\n\n"
    recording = written(tmp_path, text + "t 7/7 1.600000: cycles: \n\t 12 f+0x1 (/x)\n\t what is this\n\n")
    assert stacks(profile_of(recording)) == ["t;f", "t;f"]
    (caution,) = recording.warnings
    assert caution.text == "2 lines were not understood and ignored (“failed to open /tmp/perf-7.map”)."


def test_a_text_without_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="holds no samples"):
        written(tmp_path, "# ========\n# cmdline : /usr/bin/perf record true\n#\n")


def test_a_deep_recursion() -> None:
    frames = "".join(f"\t{address:16x} fall+0x{address:x} (/x)\n" for address in range(1, 10_001))
    profile = read(f"t 7/7 1.500000: cycles: \n{frames}\n")
    assert int(profile.stacks.depths().max()) == 10_000
    assert stacks(profile) == [";".join(["t", *["fall"] * 10_000])]


def test_a_text_without_empty_lines_is_read_in_pieces() -> None:
    line = "            work 16460/16460  1521.941093:    1003009 cpu-clock:      559870d9f278 leaf+0x18 (/tmp/t)\n"
    reader = PerfText()
    for _ in range(60):
        reader.feed((line * 1000).encode())
    assert len(reader) > 30_000  # what is read is let go of
    assert len(reader.finish().samples) == 60_000


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.txt.gz")))
def test_recorded_texts_are_recognised_whatever_their_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "unknown"
    path.write_bytes((FOLDER / name).read_bytes())
    assert load(path).format == "perf-script"


@pytest.mark.parametrize(
    "text",
    [
        "main;parse;read 42\nmain;parse 7\n",
        "<?xml version='1.0'?><svg/>",
        '#[StartTime: 1.5 (seconds since epoch)]\n"StartTimestamp","Interval_Length"\n',
        "\x7fELF\x02\x01\x01\0\0\0\0",
        "PERFILE2\x68\0\0\0",
        "# only a comment\n",
        "2026-01-01 12:00:00 ERROR 42 thing: failed\n" * 20,
        "[12345.678901] usb 1-1: new device\n" * 20,
    ],
)
def test_other_files_are_not_taken(text: str) -> None:
    assert PERF_SCRIPT.sniff(text.encode("latin-1"), "perf.txt") < 0


@pytest.mark.parametrize("rest", ["", "5", "5 ", "99999999999999999999999 cycles:"])
def test_a_header_that_breaks_off_behind_a_known_beginning(rest: str) -> None:
    frames = "\n\t    1278 leaf+0x18 (/usr/bin/t)\n\n"
    whole = f"t 12/13 [000] 1.000000: 5 cycles: {frames}"
    profile = read(f"{whole}t 12/13 [000] 2.000000: {rest}{frames}{whole}")
    assert profile.samples.period.max() == 5
    assert stacks(profile)[-1].endswith(";leaf") or stacks(profile)[-1] == "leaf"
