"""Recording with the real perf: nothing recorded is lost, and what happened is told, whatever happens."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.environment import open_to_others, refuse
from tailflame.errors import ToolDenied, ToolFailed
from tailflame.host.binary import binary_facts
from tailflame.host.system import probe_host
from tailflame.run import Ending, Event, Finished, Observed, Output, Patience, Progress, Recorder, TargetStarted
from tailflame.run.perf_file import GrowingPerfFile, is_finished
from tailflame.tools import (
    CARGO_FLAMEGRAPH,
    PERF_RECORD,
    CallGraph,
    CargoKind,
    CargoOptions,
    Level,
    PerfOptions,
    Plan,
    Target,
    preflight,
)

pytestmark = [pytest.mark.beside, pytest.mark.tool("perf")]

# busy MODE SECONDS: four threads and a child process burn CPU time, then the mode says how it ends.
BUSY = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double until;
__attribute__((noinline)) double burn(void) {
  double x = 1;
  while (now() < until) for (int i = 0; i < 20000; i++) x = x * 1.0000001 + 0.1;
  return x;
}
static void *work(void *name) { pthread_setname_np(pthread_self(), name); burn(); return 0; }
int main(int argc, char **argv) {
  const char *mode = argv[1];
  char *names[] = {"engine 1", "engine 2", "engine 3"};
  if (!strcmp(mode, "deaf")) signal(SIGTERM, SIG_IGN);
  until = now() + atof(argv[2]);
  if (!strcmp(mode, "daemon")) {
    pid_t daemon = fork();
    if (daemon) { printf("%d lives on\n", daemon); return 0; }
    setsid();
    for (int i = 0; i < 3; i++) close(i);
    pause();
  }
  printf("ready\n"); fflush(stdout);
  fprintf(stderr, "on stderr\n");
  if (!strcmp(mode, "threads")) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, work, names[i]);
    pid_t child = fork();
    if (child == 0) { burn(); _exit(0); }
    burn();
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    waitpid(child, 0, 0);
  }
  burn();
  if (!strcmp(mode, "segv")) *(volatile int *)0 = 1;
  if (!strcmp(mode, "read")) printf("%d\n", getchar());
  return !strcmp(mode, "exit3") ? 3 : 0;
}
"""

QUICK = Patience(grace=0.5)


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        refuse("gcc is not installed")
    if probe_host().refused:
        refuse("the kernel lets nobody record here")
    folder = tmp_path_factory.mktemp("busy")
    folder.chmod(0o755)
    (folder / "busy.c").write_text(BUSY)
    argv = ["gcc", "-O2", "-g", "-fno-omit-frame-pointer", "busy.c", "-o", "busy", "-lpthread"]
    subprocess.run(argv, cwd=folder, check=True, timeout=60)
    return folder / "busy"


def plan(target: Target, out: Path, **wishes: object) -> Plan:
    options = dataclasses.replace(
        PERF_RECORD.defaults(probe_host()),
        call_graph=CallGraph.FRAME_POINTERS,
        **wishes,  # type: ignore[arg-type]
    )
    return PERF_RECORD.plan(target, options, out)


def record(
    made: Plan, react: Callable[[Recorder, Event], None] | None = None, *, patience: Patience = QUICK
) -> tuple[list[Event], Finished]:
    async def everything() -> list[Event]:
        recorder = Recorder(made, patience=patience)
        seen: list[Event] = []
        async for event in recorder.events():
            seen.append(event)
            if react is not None:
                react(recorder, event)
        return seen

    events = asyncio.run(asyncio.wait_for(everything(), 120))
    last = events[-1]
    assert isinstance(last, Finished)
    return events, last


def test_a_daemon_is_told_of(busy: Path, tmp_path: Path) -> None:
    """perf stops with the first process: without a word, one would wonder about the few samples."""
    events, finished = record(plan(Target(busy, ("daemon", "1")), tmp_path / "out"))
    said = "".join(event.text for event in events if isinstance(event, Output) and event.stream == "stdout")
    try:
        (note,) = finished.notes
        assert note.startswith("1 process that it had started lives on in a session of its own, as a daemon does")
        assert finished.error is None and finished.target.sentence.startswith("finished after")
    finally:
        os.kill(int(said.split()[0]), signal.SIGKILL)


def once_ready(what: Callable[[Recorder], None]) -> Callable[[Recorder, Event], None]:
    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "ready" in event.text:
            what(recorder)

    return react


def text(events: list[Event], stream: str) -> str:
    return "".join(event.text for event in events if isinstance(event, Output) and event.stream == stream)


def script(data: Path, fields: str) -> list[str]:
    argv = ["perf", "script", "--force", "-i", str(data), "-F", fields]  # files of other users too
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def test_two_seconds_of_the_demo(demo_binary: Path, tmp_path: Path) -> None:
    facts = binary_facts(demo_binary)
    options = PERF_RECORD.defaults(probe_host(), frame_pointers=facts.frame_pointers)
    assert options.call_graph is CallGraph.FRAME_POINTERS
    target = Target(demo_binary, ("--mode", "serve"))
    findings = preflight(target, options, probe_host(), out=tmp_path)
    against = [f.title for f in findings if f.level > Level.OK]
    assert not [title for title in against if "frame pointers" in title or "debug build" in title]
    assert not [f for f in findings if f.level is Level.BLOCKER]
    events, last = record(PERF_RECORD.plan(target, dataclasses.replace(options, duration_s=2.0), tmp_path / "one"))
    assert last.error is None
    assert last.target.ended_by is Ending.DURATION
    assert last.target.code == 0  # it listens to SIGTERM and prints its report
    assert 2.0 <= last.target.seconds < 3.0
    assert "latency percentiles" in text(events, "stdout")
    assert last.samples == len(script(last.artifacts["perf.data"], "time"))
    assert last.samples > 300  # 997 a second, on a machine that may be busy with other things
    assert any(isinstance(event, Observed) and event.sample.cpu_percent > 20 for event in events)
    frames = script(last.artifacts["perf.data"], "ip,sym")
    assert any("check_exposure" in frame for frame in frames)


def test_every_thread_and_child_is_sampled_as_with_perf_alone(busy: Path, tmp_path: Path) -> None:
    made = plan(Target(busy, ("threads", "1.5")), tmp_path / "ours")
    events, last = record(made)
    alone = tmp_path / "perf.data"
    argv = [str(alone) if word == str(made.result) else word for word in made.argv]
    subprocess.run(argv, check=True, capture_output=True)

    def share(data: Path) -> dict[str, float]:
        """By thread name and by main process or child, of all samples."""
        lines = script(data, "comm,pid")
        main = min(int(line.split()[-1]) for line in lines)
        count = collections.Counter(f"{line.rsplit(None, 1)[0]} {int(line.split()[-1]) == main}" for line in lines)
        return {name: n / len(lines) for name, n in count.items()}

    ours, theirs = share(last.artifacts["perf.data"]), share(alone)
    assert {"engine 1 True", "engine 2 True", "engine 3 True", "busy True", "busy False"} == set(ours)
    assert set(ours) == set(theirs)
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name], abs=0.08)
    assert last.target.code == 0
    samples = [event.sample for event in events if isinstance(event, Observed)]
    assert max(sample.threads for sample in samples) == 5
    assert max(sample.processes for sample in samples) == 2


def test_the_command_shown_is_the_command_that_ran(busy: Path, tmp_path: Path) -> None:
    made = plan(Target(busy, ("exit", "0.2")), tmp_path / "one")
    record(made)
    done = subprocess.run(
        ["perf", "report", "-i", str(made.result), "--header-only"], capture_output=True, text=True, check=True
    )
    shown = re.search(r"^# cmdline : (.*)$", done.stdout, re.MULTILINE)
    assert shown is not None
    assert shown[1].split()[1:] == list(made.argv[1:])
    assert "clockid: monotonic" in done.stdout or "clockid" in done.stdout


def test_several_events_each_with_its_own_samples(busy: Path, tmp_path: Path) -> None:
    suffix = ":u" if probe_host().user_only else ""
    made = plan(Target(busy, ("exit", "0.5")), tmp_path / "one", events=(f"cpu-clock{suffix}", f"page-faults{suffix}"))
    _, last = record(made)
    assert last.error is None
    assert {line.rstrip(":") for line in script(made.result, "event")} >= {f"cpu-clock{suffix}", f"page-faults{suffix}"}


@pytest.mark.parametrize(
    ("mode", "sentence"), [("segv", "killed by SIGSEGV after"), ("exit3", "exited with code 3 after")]
)
def test_the_end_of_the_target_is_a_result(busy: Path, tmp_path: Path, mode: str, sentence: str) -> None:
    events, last = record(plan(Target(busy, (mode, "0.5")), tmp_path / "one"))
    assert last.target.sentence.startswith(sentence)
    assert 0.4 < last.target.seconds < 2
    assert last.error is None
    assert last.result is not None
    assert is_finished(last.result)
    assert last.samples > 50
    assert text(events, "stderr") == "on stderr\n"
    assert "perf record" in text(events, "tool")


def test_stop_early_keeps_everything(busy: Path, tmp_path: Path) -> None:
    _, last = record(plan(Target(busy, ("run", "60")), tmp_path / "one"), once_ready(Recorder.stop))
    assert last.target.sentence.startswith("stopped by you after")
    assert last.result is not None
    assert is_finished(last.result)


def test_a_target_that_ignores_sigterm(busy: Path, tmp_path: Path) -> None:
    _, last = record(plan(Target(busy, ("deaf", "60")), tmp_path / "one"), once_ready(Recorder.stop))
    assert last.target.sentence.endswith("it ignored SIGTERM and was killed")
    assert last.result is not None
    assert is_finished(last.result)
    assert last.samples > 50


def test_cancel_leaves_nothing(busy: Path, tmp_path: Path) -> None:
    made = plan(Target(busy, ("run", "60")), tmp_path / "one")
    _, last = record(made, once_ready(Recorder.cancel))
    assert last.cancelled
    assert not made.out.exists()


def test_a_target_that_reads_stdin_finds_its_end(busy: Path, tmp_path: Path) -> None:
    events, _ = record(plan(Target(busy, ("read", "0.1")), tmp_path / "one"))
    assert text(events, "stdout") == "ready\n-1\n"


def test_progress_counts_and_says_what_it_estimates(busy: Path, tmp_path: Path) -> None:
    """perf writes in blocks: in between there is an estimate, at the end the exact count."""
    events, last = record(plan(Target(busy, ("exit", "1.5")), tmp_path / "one"), patience=Patience(tick=0.1))
    progress = [event for event in events if isinstance(event, Progress)]
    running = [p for p in progress if p.stage == "recording" and p.elapsed_s > 0.5]
    assert any(p.samples_are_estimate for p in running)
    assert not progress[-1].samples_are_estimate
    assert max(p.samples for p in running) == pytest.approx(last.samples, rel=0.25)
    assert last.samples == len(script(last.artifacts["perf.data"], "time"))


def test_dwarf_stacks_are_counted_exactly_while_they_come(busy: Path, tmp_path: Path) -> None:
    made = plan(Target(busy, ("exit", "1.5")), tmp_path / "one")
    options = PerfOptions(events=(probe_host().default_event,), duration_s=None)
    events, last = record(dataclasses.replace(PERF_RECORD.plan(made.target, options, made.out), samples_hz=0.0))
    grown = [event.samples for event in events if isinstance(event, Progress)]
    assert grown == sorted(grown)
    assert sum(count > 0 for count in grown) > 0
    assert last.samples == len(script(last.artifacts["perf.data"], "time"))


# Refusals and accidents.


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    if os.geteuid() != 0:
        pytest.skip("a small file system takes root to mount")
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_what_was_written_is_kept(busy: Path, tiny_disk: Path) -> None:
    target = Target(busy, ("threads", "20"))
    findings = preflight(target, PerfOptions(), probe_host(), out=tiny_disk)
    assert any("are free" in finding.title and finding.level is Level.BLOCKER for finding in findings)
    _, last = record(plan(target, tiny_disk / "one", frequency=20_000, extra=("-m", "16")))
    assert isinstance(last.error, ToolFailed)
    assert "disk filled up" in last.error.sentence
    assert last.target.ended_by is Ending.RECORDER
    assert "samples were saved" in last.notes[0]
    assert last.result is not None
    assert last.samples > 100
    assert len(script(last.result, "time")) == last.samples
    assert "1 process that the target had started" in last.notes[1]


def test_an_event_that_is_not_there(busy: Path, tmp_path: Path) -> None:
    if probe_host().has_hardware_events:
        pytest.skip("this machine has them all")
    events, last = record(plan(Target(busy, ("run", "5")), tmp_path / "one", events=("instructions",)))
    assert isinstance(last.error, ToolFailed)
    assert "cannot sample the event instructions" in last.error.sentence
    assert last.result is None
    assert "instructions event is not supported" in text(events, "tool")


@pytest.mark.tool("setpriv")
def test_an_ordinary_user(busy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A process without any privilege records its own target, or gets a sentence."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = tmp_path_factory.mktemp("nobody")
    open_to_others(folder, tmp_path_factory.getbasetemp(), mode=0o777)
    code = f"""
import asyncio, dataclasses, json
from pathlib import Path
from tailflame.host.system import probe_host
from tailflame.run import Finished, Recorder
from tailflame.tools import PERF_RECORD, CallGraph, Target, preflight
host = probe_host()
options = dataclasses.replace(PERF_RECORD.defaults(host), call_graph=CallGraph.FRAME_POINTERS)
target = Target(Path({str(busy)!r}), ("threads", "0.7"))
async def main():
    async for event in Recorder(PERF_RECORD.plan(target, options, Path({str(folder / "one")!r}))).events():
        pass
    return event
last = asyncio.run(main())
print(json.dumps(dict(user_only=host.user_only, refused=host.refused, samples=last.samples, code=last.target.code,
    error=str(last.error or ""), findings=[f.title for f in preflight(target, options, host)])))
"""
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", sys.executable, "-c", code]
    core = Path(__file__).resolve().parents[2] / "core"
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(core)}
    )
    if done.returncode and "Permission denied" in done.stderr and "json" not in done.stdout:
        pytest.skip("nobody may not start this Python")
    assert done.returncode == 0, done.stderr
    import json

    told = json.loads(done.stdout)
    if told["refused"]:
        assert "refuses" in told["error"]
        return
    assert told["error"] == ""
    assert told["code"] == 0
    assert told["samples"] > 100
    if told["user_only"]:
        assert "Kernel functions will be missing." in told["findings"]
        assert all("kernel" not in line for line in script(folder / "one/perf.data", "ip,sym,dso"))


def test_somebody_elses_folder(busy: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    _, last = record(plan(Target(busy, ("run", "1")), Path("/")))
    assert isinstance(last.error, (ToolFailed, ToolDenied))


@pytest.mark.tool("setpriv")
def test_a_recording_survives_the_death_of_its_recorder(busy: Path, tmp_path: Path) -> None:
    """kill -9: perf gets SIGINT from the kernel, ends the target and completes its file."""
    code = f"""
import asyncio, dataclasses
from pathlib import Path
from tailflame.host.system import probe_host
from tailflame.run import Recorder, TargetStarted
from tailflame.tools import PERF_RECORD, CallGraph, Target
options = dataclasses.replace(PERF_RECORD.defaults(probe_host()), call_graph=CallGraph.FRAME_POINTERS)
plan = PERF_RECORD.plan(Target(Path({str(busy)!r}), ("threads", "60")), options, Path({str(tmp_path / "one")!r}))
async def main():
    cpu = 0
    async for event in Recorder(plan).events():
        if type(event).__name__ == "Started":
            print(event.pid, flush=True)
        if isinstance(event, TargetStarted):
            print(event.pid, flush=True)
        if type(event).__name__ == "Observed" and event.sample.cpu_s > 0.5 and not cpu:
            cpu = 1
            print("enough", flush=True)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    tool, target = int(process.stdout.readline()), int(process.stdout.readline())
    watched = [os.pidfd_open(tool), os.pidfd_open(target)]
    assert process.stdout.readline() == "enough\n"
    process.kill()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 30)[0], "the tool or the target lives on"
        os.close(descriptor)
    process.wait()
    process.stdout.close()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(tool, signal.SIGKILL)  # the child of the target: nobody is left who could end it
    data = tmp_path / "one/perf.data"
    assert is_finished(data)
    assert GrowingPerfFile(data).look().samples > 200
    assert len(script(data, "time")) == GrowingPerfFile(data).look().samples


def test_a_listener_that_goes_away_in_the_middle(busy: Path, tmp_path: Path) -> None:
    made = plan(Target(busy, ("run", "60")), tmp_path / "one")

    async def leave() -> int:
        events = Recorder(made, patience=QUICK).events()
        pid = 0
        async for event in events:
            if isinstance(event, TargetStarted):
                pid = event.pid
            if isinstance(event, Output) and "ready" in event.text:
                break
        await events.aclose()
        return pid

    pid = asyncio.run(leave())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        pytest.fail("the target lives on")
    assert is_finished(made.result)


# cargo flamegraph.


@pytest.mark.tool("cargo", "cargo-flamegraph")
class TestCargoFlamegraph:
    @pytest.fixture
    def options(self, demo_binary: Path) -> CargoOptions:
        return CargoOptions(
            project=demo_binary.parents[2],
            name="trading-system",
            profile="release-with-debug",
            event=probe_host().default_event,
            call_graph=CallGraph.FRAME_POINTERS,
            duration_s=1.5,
        )

    def test_the_demo(self, demo_binary: Path, options: CargoOptions, tmp_path: Path) -> None:
        made = CARGO_FLAMEGRAPH.plan(Target(demo_binary, ("--mode", "serve")), options, tmp_path / "one")
        events, last = record(made)
        assert last.error is None, last.error
        assert last.target.seconds >= 1.5
        assert last.target.sentence.endswith("when its time was up")
        assert re.fullmatch(r"cpu_flamegraph_\d{8}_\d{6}\.svg", last.artifacts["svg"].name)
        assert "check_exposure" in last.artifacts["svg"].read_text()
        assert last.samples == len(script(last.artifacts["perf.data"], "time")) > 100
        assert last.result == last.artifacts["svg"]
        assert "latency percentiles" in text(events, "stdout")
        assert not (options.project / "perf.data").exists()
        assert {event.stage for event in events if isinstance(event, Progress)} >= {"building", "recording"}

    def test_a_folder_with_a_blank(self, demo_binary: Path, options: CargoOptions, tmp_path: Path) -> None:
        target = Target(demo_binary, ("--mode", "serve"))
        made = CARGO_FLAMEGRAPH.plan(target, dataclasses.replace(options, duration_s=0.5), tmp_path / "my session")
        _, last = record(made)
        assert set(last.artifacts) >= {"svg", "perf.data"}
        assert not (options.project / "perf.data").exists()

    def test_a_target_that_is_killed_is_drawn_too(
        self, demo_binary: Path, options: CargoOptions, tmp_path: Path
    ) -> None:
        def kill(_: Recorder, event: Event) -> None:
            if isinstance(event, Observed) and event.sample.cpu_s > 0.3:
                os.kill(pid[0], signal.SIGKILL)
            if isinstance(event, TargetStarted):
                pid.append(event.pid)

        pid: list[int] = []
        target = Target(demo_binary, ("--mode", "serve"))
        made = CARGO_FLAMEGRAPH.plan(target, dataclasses.replace(options, duration_s=None), tmp_path / "one")
        with contextlib.suppress(ProcessLookupError):
            _, last = record(made, kill)
        assert last.error is None
        assert last.result == last.artifacts["svg"]
        assert last.target.signal in (signal.SIGKILL, None)

    @pytest.mark.parametrize(
        ("kind", "name"), [(CargoKind.TEST, "matching"), (CargoKind.BENCH, "book"), (CargoKind.EXAMPLE, "replay")]
    )
    def test_tests_benches_and_examples(
        self, options: CargoOptions, tmp_path: Path, kind: CargoKind, name: str
    ) -> None:
        project = tmp_path / "tiny"
        for folder in ("src", "tests", "benches", "examples"):
            (project / folder).mkdir(parents=True)
        (project / "Cargo.toml").write_text(
            '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n'
            "[profile.release]\ndebug = 1\n[profile.bench]\ndebug = 1\n"
            '[[bench]]\nname = "book"\nharness = false\n'
        )
        busy = (
            "#[inline(never)] pub fn match_orders() -> u64 {\n"
            "    let start = std::time::Instant::now(); let mut n = 1u64;\n"
            "    while start.elapsed().as_millis() < 500 {\n"
            "        for i in 0..9999 { n = n.wrapping_mul(31).wrapping_add(i); }\n    }\n"
            "    std::hint::black_box(n)\n}\n"
        )
        (project / "src/lib.rs").write_text(busy)
        (project / "tests/matching.rs").write_text("#[test] fn matching() { tiny::match_orders(); }\n")
        for file in ("benches/book.rs", "examples/replay.rs"):
            (project / file).write_text('fn main() { println!("ran {:?}", tiny::match_orders() > 0); }\n')
        wishes = dataclasses.replace(options, project=project, kind=kind, name=name, profile="", duration_s=None)
        _, last = record(CARGO_FLAMEGRAPH.plan(Target(project), wishes, tmp_path / "one"))
        assert last.error is None, last.error
        assert "match_orders" in last.artifacts["svg"].read_text()
        assert last.target.ended_by is Ending.ITSELF
        assert last.samples > 50

    @pytest.mark.parametrize("kind", [CargoKind.BIN, CargoKind.BENCH])
    def test_no_such_target(self, options: CargoOptions, tmp_path: Path, kind: CargoKind) -> None:
        wishes = dataclasses.replace(options, kind=kind, name="nosuch")
        _, last = record(CARGO_FLAMEGRAPH.plan(Target(Path("nosuch")), wishes, tmp_path / "one"))
        assert isinstance(last.error, ToolFailed)
        assert "has no such target" in last.error.sentence
        assert last.result is None

    def test_a_project_that_does_not_build(self, options: CargoOptions, tmp_path: Path) -> None:
        project = tmp_path / "broken"
        (project / "src").mkdir(parents=True)
        (project / "Cargo.toml").write_text('[package]\nname = "broken"\nversion = "0.1.0"\nedition = "2021"\n')
        (project / "src/main.rs").write_text("fn main() { no_such_function(); }\n")
        wishes = dataclasses.replace(options, project=project, name="broken", profile="")
        events, last = record(
            CARGO_FLAMEGRAPH.plan(Target(project / "target/release/broken"), wishes, tmp_path / "one")
        )
        assert isinstance(last.error, ToolFailed)
        assert "does not build" in last.error.sentence
        assert "no_such_function" in text(events, "tool")
        assert text(events, "stderr") == ""
