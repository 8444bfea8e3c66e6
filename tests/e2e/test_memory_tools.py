"""massif, DHAT and jemalloc for real: the demo's leak at its line, and the figures of the tools' own reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import refuse
from helpers.stack_counts import DATA
from tailflame.host.jemalloc import jemalloc_of, preload_library
from tailflame.model import Recording, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, LEAKED
from tailflame.parse import load
from tailflame.tools import Target, ToolOptions, tool_named

DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo" / "trading-system"
pytestmark = [pytest.mark.beside, pytest.mark.timeout(600)]

TAILFLAME = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")
Run = Callable[..., subprocess.CompletedProcess[str]]
LEAKING = ("--seconds", "0.5", "--leak", "1e6", "--churn", "1", "--rate", "2000")
LEAK = "trading_system::churn::remember_session"


@pytest.fixture
def tailflame(tmp_path: Path) -> Run:
    environment = {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "my profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TAILFLAME, *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    return run


def compiled(folder: Path, source: Path, compiler: str, *options: str) -> Path:
    if shutil.which(compiler) is None:
        refuse(f"{compiler} is not installed")
    program = folder / source.stem
    argv = [compiler, "-g", "-O1", "-w", "-o", str(program), str(source), *options]
    built = subprocess.run(argv, capture_output=True, text=True, check=False)
    if built.returncode:
        refuse(f"{compiler} cannot link {source.name} here: {built.stderr.splitlines()[-1:]}")
    return program


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """What the samples were recorded of: its heap is the same in each run."""
    return compiled(tmp_path, DATA / "massif" / "engine.cc", "g++", "-lpthread")


@pytest.fixture
def jebook(tmp_path: Path) -> Path:
    if preload_library() is None:
        refuse("libjemalloc is not installed")
    return compiled(tmp_path, DATA / "jemalloc" / "jebook.c", "gcc")


def document(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def recorded(run: subprocess.CompletedProcess[str], tmp_path: Path, name: str) -> Recording:
    """The file that the tool left, read again."""
    assert run.returncode == 0, run.stderr
    (session,) = (tmp_path / "my profiles").glob("2*")
    recording = load(session / name)
    assert recording.warnings == ()
    return recording


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def bytes_in(profile: StackProfile, name: str, event: int) -> tuple[float, set[str]]:
    """What stands below a function of this name, and the places that it is at."""
    frames = {at for at in range(len(profile.frames)) if name in profile.frames.name_of(at)}
    held = 0.0
    for stack, weight in zip(
        profile.samples.stack.tolist(), profile.weights(event=event, weight=Weight.PERIOD).tolist(), strict=True
    ):
        if weight and frames & {int(profile.stacks.frame[row]) for row in profile.stacks.path(stack)}:
            held += weight
    return held, {profile.frames.place_of(at) for at in frames}


def leak_line() -> str:
    """ "churn.rs:52": where the demo allocates what it leaks."""
    lines = (DEMO / "src" / "churn.rs").read_text().splitlines()
    begin = next(at for at, line in enumerate(lines) if "fn remember_session" in line)
    at = next(at for at in range(begin, len(lines)) if "vec![" in lines[at])
    return f"churn.rs:{at + 1}"


@pytest.mark.tool("valgrind")
def test_massif_shows_the_leak_at_its_line(tailflame: Run, demo_binary: Path, tmp_path: Path) -> None:
    run = tailflame("record", "--json", "--tool", "massif", "--", str(demo_binary), *LEAKING)
    heap = document(run)["heap"]
    assert LEAK in [site["name"] for site in heap["sites"]]
    profile = profile_of(recorded(run, tmp_path, "massif.out"))
    assert profile.events[0].name.endswith(", peak")
    held, places = bytes_in(profile, "churn::remember_session", 0)
    assert held > 100_000
    assert any(place.endswith(leak_line()) for place in places)


@pytest.mark.tool("valgrind")
def test_dhat_shows_the_leak_at_its_line(tailflame: Run, demo_binary: Path, tmp_path: Path) -> None:
    run = tailflame("record", "--json", "--tool", "dhat", "--", str(demo_binary), *LEAKING)
    leaked = max(document(run)["heap"]["sites"], key=lambda site: site["leaked"] or 0)
    assert leaked["name"] == LEAK
    profile = profile_of(recorded(run, tmp_path, "dhat.out"))
    names = [event.name for event in profile.events]
    held, places = bytes_in(profile, "churn::remember_session", names.index(LEAKED))
    assert held > 0.5 * profile.total(event=names.index(LEAKED), weight=Weight.PERIOD)
    assert any(place.endswith(leak_line()) for place in places)


@pytest.mark.tool("valgrind")
def test_two_tools_find_one_peak(tailflame: Run, engine: Path, tmp_path: Path) -> None:
    peaks = []
    for tool, wishes in (("massif", ("--set", "peak-inaccuracy=0")), ("dhat", ())):
        run = tailflame("record", "--json", "--tool", tool, *wishes, "--", str(engine), "3000")
        peaks.append(document(run)["heap"]["facts"]["peak"])
    # massif's is the peak of all memory, with what the allocator adds: a few bytes before or after that of the blocks.
    assert peaks[0] == pytest.approx(peaks[1], rel=1e-3)
    assert peaks[0] > 100_000


@pytest.mark.tool("valgrind")
@pytest.mark.parametrize("folder", ["profiles", "my profiles"])
def test_a_snapshot_on_request_opens_by_itself(folder: str, engine: Path, tmp_path: Path) -> None:
    out = tmp_path / folder
    out.mkdir()
    plan = tool_named("massif").plan(Target(engine, ("3000", "60000")), ToolOptions(tool="massif"), out)
    (request,) = plan.requests
    with subprocess.Popen(plan.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            argv = [word.replace("{pid}", str(process.pid)).replace("{n}", "1") for word in request.argv]
            snapshot = out / request.artifact.replace("{n}", "1")
            deadline = time.monotonic() + 120
            held = 0.0
            while held < 100_000 and time.monotonic() < deadline:
                subprocess.run(argv, capture_output=True, check=False, timeout=60)
                recording = load(snapshot) if snapshot.exists() else None
                held = float(recording.heap.heap[0]) if recording is not None and recording.heap is not None else 0.0
            assert recording is not None
            profile = profile_of(recording)
            assert [event.name for event in profile.events] == ["Snapshot 0"]
            assert profile.total(weight=Weight.PERIOD) == held
            assert bytes_in(profile, "remember", 0)[0] > 0
        finally:
            process.terminate()
            process.wait(60)
    # It was asked to end, and has written its own file.
    whole = load(plan.result)
    assert whole.heap is not None
    assert len(whole.heap) > 1


def test_jemalloc_is_preloaded_and_agrees_with_jeprof(tailflame: Run, jebook: Path, tmp_path: Path) -> None:
    run = tailflame(
        *("record", "--json", "--tool", "jemalloc", "--set", "lg-sample=12", "--set", "lg-interval=23"),
        *("--", str(jebook)),
    )
    heap = document(run)["heap"]
    assert max(heap["sites"], key=lambda site: site["allocated"] or 0)["name"] == "churn"
    recording = recorded(run, tmp_path, "jemalloc.heap")
    timeline, profile = recording.heap, profile_of(recording)
    assert timeline is not None
    assert len(timeline) > 3
    source = (DATA / "jemalloc" / "jebook.c").read_text().splitlines()
    line = next(at for at, text in enumerate(source, 1) if "*leak(" in text)
    held, places = bytes_in(profile, "leak", 0)
    assert held >= 600_000
    assert any(place.endswith(f"jebook.c:{line}") for place in places)
    if shutil.which("jeprof") is None:
        return
    (session,) = (tmp_path / "my profiles").glob("2*")
    names = [event.name for event in profile.events]
    last = next(session.glob("jeprof.*.f.heap"))
    for option, event in (("--inuse_space", 0), ("--alloc_space", names.index(ALLOCATED))):
        argv = ["jeprof", "--text", "--show_bytes", option, str(jebook), str(last)]
        report = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        total = re.search(r"Total: (\d+) B", report)
        assert total is not None
        assert profile.total(event=event, weight=Weight.PERIOD) == pytest.approx(int(total[1]), abs=1)


@pytest.fixture
def linked_jebook(tmp_path: Path) -> Path:
    """With jemalloc in it."""
    libraries = ("-Wl,-Bstatic", "-ljemalloc", "-Wl,-Bdynamic", "-lstdc++", "-lm", "-lpthread", "-ldl")
    return compiled(tmp_path, DATA / "jemalloc" / "jebook.c", "gcc", *libraries)


def test_a_jemalloc_that_is_linked_reads_the_programs_own_variable(
    tailflame: Run, linked_jebook: Path, tmp_path: Path
) -> None:
    program = linked_jebook
    found = jemalloc_of(program)
    assert found is not None
    assert found.static
    run = tailflame("record", "--json", "--tool", "jemalloc", "--set", "lg-sample=12", "--", str(program))
    assert document(run)["heap"]["sites"]
    held, _ = bytes_in(profile_of(recorded(run, tmp_path, "jemalloc.heap")), "leak", 0)
    assert held >= 600_000


def test_a_program_without_a_dump_is_told_so(tailflame: Run, tmp_path: Path) -> None:
    if preload_library() is None:
        refuse("libjemalloc is not installed")
    run = tailflame("record", "--tool", "jemalloc", "--set", "lg-interval=0", "--", "sh", "-c", "kill -KILL $$")
    assert run.returncode != 0
    assert "wrote no dump of its heap" in run.stderr


def test_jemalloc_in_the_demo_shows_the_leak_at_its_line(tailflame: Run, jemalloc_demo: Path, tmp_path: Path) -> None:
    run = tailflame(
        *("record", "--json", "--tool", "jemalloc", "--set", "lg-sample=13", "--set", "lg-interval=23"),
        *("--", str(jemalloc_demo), *LEAKING),
    )
    document(run)
    recording = recorded(run, tmp_path, "jemalloc.heap")
    held, places = bytes_in(profile_of(recording), "churn::remember_session", 0)
    assert held > 100_000
    assert any(place.endswith(leak_line()) for place in places)


@pytest.mark.tool("heaptrack")
def test_heaptrack_does_not_start_on_a_heap_that_hides(tailflame: Run, linked_jebook: Path) -> None:
    run = tailflame("record", "--tool", "heaptrack", "--", str(linked_jebook))
    assert run.returncode != 0
    assert "links jemalloc statically" in run.stderr
    assert "Record with jemalloc" in run.stderr


@pytest.mark.tool("valgrind")
def test_massif_does_not_start_on_a_heap_that_hides(tailflame: Run, jemalloc_demo: Path) -> None:
    run = tailflame("record", "--tool", "massif", "--", str(jemalloc_demo), *LEAKING)
    assert run.returncode != 0
    assert "links jemalloc statically" in run.stderr
    assert "Record with jemalloc" in run.stderr
