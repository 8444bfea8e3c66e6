"""Our reading of perf.data against perf report's, on recordings made here and now.

By physical function (inlined ones folded into the function that holds them), each of perf's top ten within 0.1
percentage points, and more than that: the same number of samples for every function, the same totals and losses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.environment import DATA, open_to_others, refuse
from helpers.perf_report import ARGV, PerfReport, ReportedEvent
from tailflame.model import FrameKind, Recording, StackProfile, Weight
from tailflame.parse import load

pytestmark = [pytest.mark.beside, pytest.mark.tool("perf"), pytest.mark.timeout(300)]

NOBODY = 65534
THREADS = frozenset(("worker 12", "a", "semi;colon", "(paren) 9", "[cpu] 3.5:", "0x1f"))
RECORD = ("perf", "record", "-q", "-N", "-k", "CLOCK_MONOTONIC")


@dataclass(frozen=True)
class Functions:
    """Samples and period of each function of an event, by (module, name)."""

    samples: Counter[tuple[str, str]]
    period: Counter[tuple[str, str]]


def ours(profile: StackProfile, event: int, threads: frozenset[str] = frozenset()) -> Functions:
    found = Functions(Counter(), Counter())
    frames, stacks = profile.frames, profile.stacks
    for row in range(len(profile.samples)):
        if profile.samples.event[row] != event:
            continue
        if threads and profile.threads[profile.samples.thread[row]].name not in threads:
            continue
        at = int(profile.samples.stack[row])
        while frames.kind[stacks.frame[at]] == FrameKind.INLINED:
            at = int(stacks.parent[at])
        frame = int(stacks.frame[at])
        module = frames.module_of(frame).rsplit("/", 1)[-1]
        name = frames.name_of(frame)
        key = (module, "") if name in ("[unknown]", f"[{module}]") else (module, name)
        found.samples[key] += 1
        found.period[key] += int(profile.samples.period[row])
    return found


def theirs(event: ReportedEvent, threads: frozenset[str] = frozenset()) -> Functions:
    found = Functions(Counter(), Counter())
    for row in event.rows:
        if threads and row.comm not in threads:
            continue
        module = "" if row.module == "[unknown]" else row.module.removesuffix(" (deleted)").rsplit("/", 1)[-1]
        key = (module, "" if row.is_unresolved else row.symbol)
        found.samples[key] += row.samples
        found.period[key] += row.period
    return found


def record(folder: Path, *argv: str | Path, user: int | None = None) -> Path:
    data = folder / "perf.data"
    done = subprocess.run(
        [*RECORD, "-o", str(data), *map(str, argv)],
        check=False, timeout=120, capture_output=True, text=True, user=user, group=user, cwd=folder,
        extra_groups=[] if user is not None else None,
    )  # fmt: skip
    if "perf_event_paranoid" in done.stderr or "No permission to enable" in done.stderr:
        refuse("this system lets nobody here record with perf")
    assert done.returncode == 0, done.stderr
    return data


def report(data: Path) -> PerfReport:
    done = subprocess.run(
        ["perf", "report", "-f", "-i", str(data), *ARGV],
        check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C", "PAGER": "cat"},
    )  # fmt: skip
    return PerfReport.parse(done.stdout)


def agree(data: Path, *, threads: frozenset[str] = frozenset()) -> Recording:
    """threads: whose functions are compared; none for all. The totals are always those of the whole file."""
    recording = load(data)
    profile = recording.profile
    assert profile is not None
    said = report(data)
    assert recording.meta.lost == said.lost
    heard = [event for event in said.events if event.samples]
    assert [event.name for event in profile.events] == [event.name for event in heard]
    for number, event in enumerate(heard):
        mine, perfs = ours(profile, number, threads), theirs(event, threads)
        assert profile.total(event=number) == event.samples
        assert profile.total(event=number, weight=Weight.PERIOD) == event.period
        assert mine.samples == perfs.samples
        assert mine.period == perfs.period
        for module, symbol in [key for key, _ in perfs.period.most_common(10) if key[1]]:
            told = [
                row.percent
                for row in event.rows
                if (row.module, row.symbol) == (module, symbol) and (not threads or row.comm in threads)
            ]
            share = mine.period[module, symbol] / event.period * 100
            assert share == pytest.approx(sum(told), abs=max(0.1, 0.005 * len(told))), symbol
    return recording


@pytest.fixture(scope="module")
def spin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C program with threads of awkward names, inlined functions, recursion, page faults and context switches."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        refuse("no C compiler is installed")
    folder = tmp_path_factory.mktemp("spin")
    folder.chmod(0o755)
    binary = folder / "spin"
    source = DATA / "perf" / "6.1.187" / "spin.c"
    flags = ["-O2", "-g", "-fno-omit-frame-pointer"]
    subprocess.run([compiler, *flags, "-o", str(binary), str(source), "-lpthread"], check=True)
    return binary


def kinds(recording: Recording) -> Counter[FrameKind]:
    assert recording.profile is not None
    return Counter(FrameKind(kind) for kind in recording.profile.frames.kind)


def test_frame_pointers(spin: Path, tmp_path: Path) -> None:
    recording = agree(record(tmp_path, "-F", "997", "-e", "cpu-clock", "--call-graph", "fp", spin))
    profile = recording.profile
    assert profile is not None
    inlined = {n for n, k in zip(profile.frames.names(), profile.frames.kind, strict=True) if k == FrameKind.INLINED}
    assert {"twist", "blend"} <= inlined
    assert {t.name for t in profile.threads} >= THREADS
    assert recording.meta.command == (str(spin),)
    assert recording.meta.rate_granted_hz == 997


def test_copied_stacks(spin: Path, tmp_path: Path) -> None:
    recording = agree(record(tmp_path, "-F", "499", "-e", "cpu-clock", "--call-graph", "dwarf,4096", spin))
    assert kinds(recording)[FrameKind.INLINED] > 0


def test_several_events_at_once(spin: Path, tmp_path: Path) -> None:
    events = "cpu-clock,page-faults,context-switches"
    recording = agree(record(tmp_path, "-F", "997", "-e", events, "--call-graph", "fp", spin))
    assert recording.profile is not None and len(recording.profile.events) >= 2


def test_no_call_graph(spin: Path, tmp_path: Path) -> None:
    recording = agree(record(tmp_path, "-F", "997", "-e", "cpu-clock", spin))
    assert kinds(recording)[FrameKind.INLINED] > 0


def test_a_fixed_period(spin: Path, tmp_path: Path) -> None:
    recording = agree(record(tmp_path, "-c", "1000000", "-e", "cpu-clock", "-g", spin))
    assert recording.meta.rate_granted_hz is None


def test_lost_samples(spin: Path, tmp_path: Path) -> None:
    data = record(tmp_path, "-m", "8", "-F", "10000", "-e", "cpu-clock", "--call-graph", "dwarf,8192", spin)
    recording = agree(data)
    if not recording.meta.lost:
        pytest.skip("this machine is quick enough to lose nothing")
    assert any("samples were lost" in caution.text for caution in recording.warnings)


def test_every_processor(spin: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may watch every processor")
    # perf report and perf script differ now and then in a symbol of somebody else's huge library.
    data = record(tmp_path, "-a", "-F", "499", "-e", "cpu-clock", "-g", "--", spin)
    recording = agree(data, threads=THREADS)
    assert recording.profile is not None
    assert recording.profile.samples.cpu.max() >= 0
    assert recording.meta.command == ()  # the target only told how long


def test_compressed_and_piped_recordings(spin: Path, tmp_path: Path) -> None:
    agree(record(tmp_path, "-z", "-F", "997", "-e", "cpu-clock", "-g", spin))
    data = tmp_path / "piped"
    with data.open("wb") as out:
        argv = [*RECORD, "-F", "997", "-e", "cpu-clock", "-g", "-o", "-", str(spin)]
        subprocess.run(argv, check=True, stdout=out, timeout=120)
    agree(data)


def test_an_unprivileged_user(
    spin: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the kernel's functions; both what was recorded and who reads it are a user's own."""
    if os.geteuid() != 0:
        agree(record(tmp_path, "-F", "997", "-e", "cpu-clock:u,page-faults:u", "-g", spin))
        return
    open_to_others(tmp_path, tmp_path_factory.getbasetemp())
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    data = record(own, "-F", "997", "-e", "cpu-clock:u,page-faults:u", "-g", spin, user=NOBODY)
    cache = tmp_path / "cache"
    monkeypatch.setenv("TAILFLAME_CACHE_DIR", str(cache))
    recording = agree(data)
    # Where nobody may start this Python, nobody can make an index either: it gets the one that was made just now.
    for place in (cache, *cache.rglob("*")):
        os.chown(place, NOBODY, NOBODY)
    assert any("belongs to nobody" in caution.text for caution in recording.warnings)
    assert recording.profile is not None
    samples, inlined = _read_as_nobody(data)
    assert samples == len(recording.profile.samples)
    assert inlined > 0


def _read_as_nobody(data: Path) -> tuple[int, int]:
    """(samples, inlined frames) as another user reads them, in a child: this Python may not be for others to start."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.environ["HOME"] = "/nonexistent"
            os.chdir(data.parent)
            profile = load(data).profile
            assert profile is not None
            inlined = int((profile.frames.kind == FrameKind.INLINED).sum())
            os.write(send, f"{len(profile.samples)} {inlined}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(send)
    with os.fdopen(receive) as answer:
        text = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    samples, inlined = text.split()
    return int(samples), int(inlined)


def test_the_demo(demo_binary: Path, tmp_path: Path) -> None:
    """Rust, linked by lld (code is not at its offset in the file), with names of both mangling schemes."""
    recording = agree(
        record(
            tmp_path, "-F", "997", "-e", "cpu-clock", "--call-graph", "fp", demo_binary,
            "--mode", "benchmark", "--seconds", "3", "--threads", "2",
        )
    )  # fmt: skip
    profile = recording.profile
    assert profile is not None
    names = set(profile.frames.names())
    assert "trading_system::risk::check_exposure" in names
    assert not any(name.startswith(("_ZN", "_R")) for name in names)
    assert kinds(recording)[FrameKind.INLINED] > 20
    places = {
        profile.frames.place_of(i)
        for i, name in enumerate(profile.frames.names())
        if name == "trading_system::risk::check_exposure"
    }
    assert any("src/risk.rs:" in place for place in places)
