"""perf.data without perf: address spaces, names, time off the processor, several files, hashes instead of sorting."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.model import Recording, StackProfile, Weight
from tailflame.parse import load
from tailflame.parse.perf_data import PERF_DATA, load_many
from tailflame.parse.perf_file import read_perf_file
from tailflame.parse.perfdata.hashing import factorize, gathered, run_hashes
from tailflame.parse.perfdata.prefixes import merged
from tailflame.parse.perfdata.reader import OFF_CPU, content_of, switches_in
from tailflame.parse.perfdata.sideband import Forked, Mapped, Named, Unmapped
from tailflame.parse.perfdata.spaces import Spaces
from tailflame.parse.perfdata.switches import Switches, switches_of
from tailflame.parse.perfdata.threads import ThreadNames
from tailflame.parse.source import Source
from tailflame.units import Unit

FOLDER = DATA / "perf" / "6.1.187"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
SLICES = sorted(FOLDER.glob("slices.data.*"))


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def mapped(when: int, pid: int, start: int, end: int, path: str, offset: int = 0) -> Mapped:
    return Mapped(when, pid, start, end, offset, path, "", 0, True)


def what(spaces: Spaces, pid: int, when: int, address: int) -> tuple[str, int]:
    space = spaces.of([pid], np.zeros(1, np.int64), np.array([when]))
    image, place = spaces.lookup(space, np.array([address], np.uint64))
    return (spaces.images[int(image[0])].path if image[0] >= 0 else "", int(place[0]))


def test_what_is_replaced_at_once_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and time go with moments at which something changed, not with records."""
    monkeypatch.setattr("tailflame.parse.perfdata.spaces.PIECES_LIMIT", 5000)
    found = [mapped(5, 1, 0x1000 * n, 0x1000 * (n + 1), "/a") for n in range(1, 1000)]
    found += [mapped(5, 1, 0x1000 * n, 0x1000 * (n + 1), f"/{n}") for n in range(1, 1000)]
    spaces = Spaces([*found, mapped(6, 1, 0x1000, 0x2000, "/b")])
    assert not spaces.simplified
    assert [what(spaces, 1, when, 0x1010)[0] for when in (5, 6)] == ["/1", "/b"]


def test_what_lay_at_an_address_at_a_time() -> None:
    spaces = Spaces(
        [
            mapped(0, 1, 0x1000, 0x3000, "/a", 0x100),
            mapped(5, 1, 0x5000, 0x6000, "/b"),
            mapped(10, 1, 0x2000, 0x4000, "/c"),
            Forked(20, 2, 1, 2, 1, True),
            Named(25, 2, 2, "other", True),
            mapped(30, 2, 0x1000, 0x2000, "/d"),
            Forked(40, 3, 1, 3, 1, False),
        ]
    )
    assert what(spaces, 1, 9, 0x2800) == ("/a", 0x1900)
    assert what(spaces, 1, 10, 0x2800) == ("/c", 0x800)
    assert what(spaces, 1, 10, 0x1800) == ("/a", 0x900)
    assert what(spaces, 1, 0, 0x5010) == ("/b", 0x10)  # what is only added later was there for no other sample
    assert what(spaces, 1, 99, 0x4000) == ("", 0x4000)
    assert what(spaces, 2, 22, 0x1800) == ("/a", 0x900)
    assert what(spaces, 2, 30, 0x1800) == ("/d", 0x800)
    assert what(spaces, 2, 30, 0x5010) == ("/b", 0x10)
    assert what(spaces, 3, 50, 0x1800) == ("", 0x1800)
    assert what(spaces, 4, 50, 0x1800) == ("", 0x1800)


def test_files_that_are_only_added_need_no_space_of_their_own() -> None:
    spaces = Spaces([mapped(n, 1, n << 16, (n << 16) + 4096, f"/{n}") for n in range(1, 200)])
    found = spaces.of([1], np.zeros(3, np.int64), np.array([0, 100, 300]))
    assert set(found.tolist()) == {0}


def test_code_of_the_kernel_that_comes_and_goes() -> None:
    spaces = Spaces(
        [
            mapped(0, -1, 0xFFFFFFFF81000000, 0xFFFFFFFF82000000, "[kernel.kallsyms]_text"),
            mapped(0, -1, 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000, "/lib/modules/6.1/nf-nat.ko.xz"),
            mapped(5, -1, 0xFFFFFFFFC0100000, 0xFFFFFFFFC0100100, "bpf_prog_12_f"),
            Unmapped(9, 0xFFFFFFFFC0100000, 0xFFFFFFFFC0100100),
        ]
    )

    def at(when: int, address: int) -> str:
        image, _ = spaces.lookup(spaces.of_kernel(np.array([when])), np.array([address], np.uint64))
        return spaces.images[int(image[0])].path if image[0] >= 0 else ""

    assert at(0, 0xFFFFFFFF81000010) == "[kernel.kallsyms]"
    assert at(0, 0xFFFFFFFFC0000010) == "[nf_nat]"
    assert at(6, 0xFFFFFFFFC0100010) == "bpf_prog_12_f"
    assert at(9, 0xFFFFFFFFC0100010) == ""


def test_names_of_threads_change_and_are_inherited() -> None:
    names = ThreadNames([Named(0, 5, 5, "sh", False), Forked(10, 6, 5, 6, 5, True), Named(20, 6, 6, "ls", True)])

    def at(tid: int, when: int) -> str:
        return names.names[int(names.of([tid], np.zeros(1, np.int64), np.array([when]))[0])]

    assert [at(5, 0), at(6, 5), at(6, 10), at(6, 20), at(7, 1), at(0, 1)] == ["sh", ":6", "sh", "ls", ":7", "swapper"]


def test_time_off_the_processor_is_an_event_of_its_own() -> None:
    """Against the switches as the records tell them, one by one."""
    profile = profile_of(load(FOLDER / "switch.data"))
    assert [event.name for event in profile.events] == ["sched:sched_switch", OFF_CPU]
    off = profile.events[1]
    assert (off.unit, off.has_period) == (Unit.NANOSECONDS, True)
    content = content_of(FOLDER / "switch.data", read_perf_file(FOLDER / "switch.data"), lambda: None)
    left: dict[int, int] = {}
    away = Counter[int]()
    for switch in content.side.switches:
        if switch.out:
            left[switch.tid] = switch.when
        elif switch.tid in left:
            away[switch.tid] += switch.when - left.pop(switch.tid)
    ours = Counter[int]()
    mine = profile.samples.event == 1
    for thread, period in zip(
        profile.samples.thread[mine].tolist(), profile.samples.period[mine].tolist(), strict=True
    ):
        ours[profile.threads[thread].tid] += int(period)
    assert set(ours) == set(away)
    # The tracepoint stands some microseconds before the record of the same switch.
    for tid, total in away.items():
        assert ours[tid] == pytest.approx(total, rel=0.02, abs=200_000)
    assert profile.total(event=1, weight=Weight.PERIOD) > 8 * 10_000_000  # eight sleeps of 10 ms


def test_states_and_wakers_are_kept() -> None:
    content = content_of(FOLDER / "switch.data", read_perf_file(FOLDER / "switch.data"), lambda: None)
    switches = switches_of(content.octets, content.columns, content.attrs, content.points, content.side.switches)
    assert switches is not None and (np.diff(switches.time_ns) >= 0).all()
    sampled = switches.sample >= 0
    left = sampled & (switches.kind == Switches.LEFT)
    assert left.sum() == len(content.columns) == (sampled & (switches.kind == Switches.GOT)).sum()
    assert set(switches.state[left].tolist()) <= {0, 1, 2, 16, 32, 64, 256}
    assert 1 in switches.state[left]  # it slept


def test_switches_point_to_the_profiles_samples() -> None:
    profile = profile_of(load(FOLDER / "switch.data"))
    switches = switches_in(FOLDER / "switch.data")
    assert switches is not None
    left = (switches.kind == Switches.LEFT) & (switches.sample >= 0)
    rows = switches.sample[left]
    assert (profile.samples.time_ns[rows] == switches.time_ns[left]).all()
    assert (profile.samples.event[rows] == 0).all()
    assert [profile.threads[t].tid for t in profile.samples.thread[rows].tolist()] == switches.tid[left].tolist()
    assert switches_in(FOLDER / "fp.data") is None


def test_switches_that_were_only_sampled_tell_no_times(tmp_path: Path) -> None:
    data = bytearray((FOLDER / "switch.data").read_bytes())
    (attrs_at,) = struct.unpack_from("<Q", data, 24)
    assert struct.unpack_from("<Q", data, attrs_at + 16) == (1,)  # its period
    struct.pack_into("<Q", data, attrs_at + 16, 7)
    path = tmp_path / "perf.data"
    path.write_bytes(data)
    recording = load(path)
    assert [event.name for event in profile_of(recording).events] == ["sched:sched_switch"]
    assert any("only some of the switches were recorded" in caution.text for caution in recording.warnings)


@pytest.mark.tool("perf")
def test_time_off_the_processor_is_what_perf_prints(tmp_path: Path) -> None:
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed")
    argv = ["perf", "script", "-f", "-i", str(FOLDER / "switch.data"), "--ns", "-F", "comm,tid,time,event,trace", "-G"]
    text = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    )
    times = re.findall(r"(\d+)\.(\d{9}): +sched:sched_switch: .*?prev_pid=(\d+)", text.stdout)
    if not times:
        pytest.skip("this perf prints switches in another way")
    profile = profile_of(load(FOLDER / "switch.data"))
    ours = {
        (profile.threads[thread].tid, time)
        for thread, time in zip(
            *(c[profile.samples.event == 1].tolist() for c in (profile.samples.thread, profile.samples.time_ns)),
            strict=True,
        )
    }
    assert ours <= {(int(tid), int(second) * 10**9 + int(nano)) for second, nano, tid in times}


def test_several_files_are_one_profile(tmp_path: Path) -> None:
    parts = [profile_of(load(path)) for path in SLICES]
    shuffled = [SLICES[1], SLICES[2], SLICES[0]]
    whole = load_many(shuffled)
    profile = profile_of(whole)
    assert len(profile.samples) == sum(len(part.samples) for part in parts) > 100
    assert (np.diff(profile.samples.time_ns) >= 0).all()
    assert profile.total(weight=Weight.PERIOD) == sum(part.total(weight=Weight.PERIOD) for part in parts)
    assert tops(profile) == sum((tops(part) for part in parts), Counter())
    assert len(set(zip(profile.stacks.parent.tolist(), profile.stacks.frame.tolist(), strict=True))) == len(
        profile.stacks
    )
    for path in SLICES:
        shutil.copy(path, tmp_path)
    (tmp_path / "perf.data.0").write_bytes(SLICES[0].read_bytes()[:50])
    again = load(tmp_path)  # as a dropped folder, or one that is named on the command line
    assert again.source == str(tmp_path)
    assert tops(profile_of(again)) == tops(profile)
    assert any("cut short" in caution.text for caution in again.warnings)


def tops(profile: StackProfile) -> Counter[tuple[str, str, str]]:
    names = profile.frames.names()
    samples = profile.samples
    assert samples.site is not None and profile.sites is not None
    return Counter(
        (
            names[profile.stacks.frame[stack]],
            profile.threads[thread].name,
            f"{profile.frames.strings[profile.sites.module[site]]} {profile.sites.address[site]:x}"
            if site >= 0
            else "",
        )
        for stack, thread, site in zip(
            *(c.tolist() for c in (samples.stack, samples.thread, samples.site)), strict=True
        )
    )


def test_a_first_picture_comes_before_the_whole() -> None:
    early: list[Recording] = []
    whole = load(FOLDER / "fp.data", early=early.append)
    assert len(early) == 1
    first = profile_of(early[0])
    assert len(first.samples) == len(profile_of(whole).samples)
    assert early[0].meta == whole.meta
    assert (first.frames.line == -1).all()


def test_sampled_instructions_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = tmp_path / ".debug/.build-id" / BUILD_ID[:2] / BUILD_ID[2:]
    shelf.mkdir(parents=True)
    (shelf / "elf").write_bytes((FOLDER / "spin").read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    profile = profile_of(load(FOLDER / "flat.data"))
    assert profile.sites is not None and profile.samples.site is not None
    here = [site for site in profile.samples.site.tolist() if site >= 0]
    modules = Counter(profile.frames.strings[profile.sites.module[site]] for site in here)
    assert modules["/opt/spin/spin"] > 300
    assert len(profile.sites) == len(
        set(zip(profile.sites.module.tolist(), profile.sites.address.tolist(), strict=True))
    )


def test_a_cancel_is_heard() -> None:
    class Stop(Exception):
        pass

    def progress(share: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        PERF_DATA.load(Source(FOLDER / "fp.data", progress=progress))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 30), max_size=60), st.integers(1, 200))
def test_numbers_of_equal_things(values: list[int], times: int) -> None:
    keys = np.array(values * times, np.uint64)
    codes, first = factorize(keys)
    wanted = list(dict.fromkeys(keys.tolist()))
    assert keys[first].tolist() == wanted
    assert codes.tolist() == [wanted.index(key) for key in keys.tolist()]
    assert (np.diff(first) > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=30), st.integers(0, 3))
def test_equal_runs_have_equal_hashes(runs: list[list[int]], gap: int) -> None:
    words: list[int] = []
    start, stop = [], []
    for run in runs:
        words += [9] * gap
        start.append(len(words))
        words += run
        stop.append(len(words))
    hashes = run_hashes(np.array([*words, 0], np.uint64), np.array(start), np.array(stop)).tolist()
    assert len(set(hashes)) == len({tuple(run) for run in runs})
    for one, run in zip(hashes, runs, strict=True):
        assert all((one == other) == (run == theirs) for other, theirs in zip(hashes, runs, strict=True))
    length = np.array(stop) - np.array(start)
    positions = gathered(np.array(start), length)
    assert [words[at] for at in positions.tolist()] == [value for run in runs for value in run]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 4), max_size=6), st.integers(0, 2)), min_size=1, max_size=30))
def test_stacks_are_merged_below_their_roots(stacks: list[tuple[list[int], int]]) -> None:
    flat = np.array([frame for frames, _ in stacks for frame in frames], np.int64)
    prefixes, row = merged(flat, np.array([len(frames) for frames, _ in stacks]))
    table, leaf = prefixes.below(np.array([10 + root for _, root in stacks]), row)
    for (frames, root), at in zip(stacks, leaf.tolist(), strict=True):
        assert [int(table.frame[r]) for r in table.path(at)] == [10 + root, *frames]
    pairs = set(zip(table.parent.tolist(), table.frame.tolist(), strict=True))
    assert (
        len(pairs)
        == len(table)
        == len({(root, *frames[:n]) for frames, root in stacks for n in range(len(frames) + 1)})
    )
    assert (table.parent < np.arange(len(table))).all()
