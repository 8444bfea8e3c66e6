"""What a measurement lives through: a missing tool, a program that crashes, a full disk, a kill, an ordinary user; and
probes on the plan's functions. The program is small and quick, the tools are the real ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import refuse
from tailflame.host.system import read_setting

pytestmark = [pytest.mark.beside, pytest.mark.tool("gcc"), pytest.mark.timeout(300)]

TAILFLAME = str(Path(sys.executable).with_name("tailflame"))
# ENGINE LOG LINES MILLISECONDS [crash]: writes so many latencies, works so long (with HOLD set a minute), and ends so.
PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static volatile long sink;
__attribute__((noinline)) void match_order(long n) { for (long i = 0; i < n; i++) sink += i; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int argc, char **argv) {
    if (argc < 4) return 2;
    FILE *log = fopen(argv[1], "w");
    if (!log) { perror(argv[1]); return 3; }
    for (long i = 0, n = atol(argv[2]); i < n; i++)
        if (fprintf(log, "total_us=%ld\n", 100 + i % 100) < 0) return 4;
    if (fclose(log)) { perror(argv[1]); return 5; }
    free(malloc(100));
    double seconds = getenv("HOLD") ? 60 : atol(argv[3]) / 1e3;
    for (double end = now() + seconds; now() < end;) match_order(2000);
    if (argc > 4) raise(SIGSEGV);
}
"""
PLAN = """
[target]
path = "engine"
args = ["{{out}}/calls.log", "{lines}", "{ms}"{more}]
[measure]
repetitions = {repetitions}
warm_up_s = 0
steps = {steps}
[latency]
log = "{{out}}/calls.log"
fields = ["total_us"]
probe = ["match_order"]
"""


@dataclass
class Project:
    folder: Path
    profiles: Path
    environ: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = (TAILFLAME,)

    def plan(self, *steps: str, ms: int = 200, lines: int = 2000, more: str = "", repetitions: int = 2) -> None:
        words = f', "{more}"' if more else ""
        text = PLAN.format(lines=lines, ms=ms, more=words, steps=json.dumps(list(steps)), repetitions=repetitions)
        (self.folder / "tailflame.toml").write_text(text)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.prefix, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
            env=self._environ(),
        )  # fmt: skip

    def tailflame(self, *argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.prefix, *argv], capture_output=True, text=True, check=False, cwd=self.folder, env=self._environ(),
            timeout=200,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def run(self, *argv: str, code: int = 0) -> dict[tuple[str, int], Any]:
        """The steps by name and repetition."""
        steps = json.loads(self.tailflame("run", "--json", *argv, code=code).stdout)["steps"]
        return {(step["name"], step["repetition"]): step for step in steps}

    def _environ(self) -> dict[str, str]:
        config = str(self.folder.parent / "config")
        return {**os.environ, "TAILFLAME_PROFILES": str(self.profiles), "TAILFLAME_CONFIG_DIR": config, **self.environ}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "engine.c").write_text(PROGRAM)
    argv = ["gcc", "-O1", "-g", "-fcf-protection=none", "-o", "engine", "engine.c"]
    subprocess.run(argv, cwd=folder, check=True, timeout=60)
    return folder / "engine"


@pytest.fixture
def project(engine: Path, tmp_path: Path) -> Project:
    folder = tmp_path / "engine project"
    folder.mkdir()
    shutil.copy(engine, folder / "engine")
    return Project(folder, tmp_path / "profiles")


def until(happened: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := happened()):
        assert time.monotonic() < deadline, f"in a minute not seen: {what}"
        time.sleep(0.02)
    return found


def running_of(project: Project) -> list[str]:
    """Command lines of what was started for the project and runs: its folders are in their words."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            ours = str(project.profiles) in words or str(project.folder) in words
            if ours and int(place.name) != os.getpid():
                found.append(words)
    return found


def test_a_missing_tool_is_a_failed_step_with_its_install_command(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    without = ("perf", "valgrind", "strace", "bpftrace")
    for folder in reversed(os.environ["PATH"].split(":")):
        for tool in Path(folder).glob("*") if folder else ():
            if not tool.name.startswith(without):
                (path / tool.name).unlink(missing_ok=True)
                (path / tool.name).symlink_to(tool)
    project.environ |= {"PATH": str(path), "CARGO_HOME": str(tmp_path)}
    project.plan("cpu", "counters", "caches", "latency", "probes", "syscalls")
    steps = project.run(code=4)
    for name, tool in (("cpu", "perf"), ("counters", "perf"), ("caches", "valgrind"), ("syscalls", "strace")):
        step = steps[name, 1]
        assert step["state"] == "failed" and f"{tool} is not installed" in step["problem"], step
        assert "install" in step["fix"], step
    assert steps["probes", 1]["state"] == "skipped" and "bpftrace is not installed" in steps["probes", 1]["problem"]
    assert {steps["latency", n]["state"] for n in (1, 2)} == {"done"}


@pytest.mark.tool("perf", "heaptrack", "valgrind", "strace")
def test_a_program_that_crashes_in_every_run_is_told_step_by_step(project: Project) -> None:
    project.plan("cpu", "counters", "caches", "heap", "latency", "syscalls", more="crash", repetitions=1)
    steps = project.run(code=4)
    assert len(steps) == 6
    for step in steps.values():
        assert step["state"] == "failed", step
        assert "The program ended badly: killed by SIGSEGV" in step["problem"], step
    # What was recorded until then is there to be opened.
    shown = json.loads(project.tailflame("show", steps["cpu", 1]["session"], "--json").stdout)
    assert shown["hotspots"][0]["name"] == "match_order"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        refuse(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_ends_it_in_a_sentence_and_takes_nothing_away(project: Project, small_disk: Path) -> None:
    project.profiles = small_disk / "profiles"
    project.plan("latency", repetitions=1)
    project.run()
    project.plan("latency", lines=60_000, repetitions=6)
    full = project.start("run")
    _out, said = full.communicate(timeout=200)
    assert full.returncode not in (0, None) and "Traceback" not in said, said
    assert "No space left" in said or "Make room" in said or "full" in said, said
    listed = json.loads(project.tailflame("list", "--json").stdout)["sessions"]
    assert len(listed) >= 2, "what was recorded before is there"
    measured = json.loads(project.tailflame("verdict", "--list", "--json").stdout)["measurements"]
    assert measured[-1]["number"] == 1
    project.tailflame("show", listed[-1]["id"])
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    resumed = project.run("--resume")
    assert [resumed["latency", n]["state"] for n in range(1, 7)] == ["done"] * 6, said


@pytest.mark.parametrize("step", ["cpu", "heap", "probes"])
@pytest.mark.tool("perf", "heaptrack")
def test_a_kill_in_the_middle_of_a_profiler_leaves_nothing_running_and_resumes(project: Project, step: str) -> None:
    if step == "probes":
        needs_probes()
    project.plan("latency", step, repetitions=1)
    steps = project.run("--skip", step)
    assert steps["latency", 1]["state"] == "done"
    project.plan(step, "latency", repetitions=1)
    project.environ["HOLD"] = "1"
    running = project.start("run", "--skip", "latency")
    until(lambda: any(" 2000 200" in words and "engine " in words for words in running_of(project)), "the program")
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    until(lambda: not running_of(project), "that nothing is left running")
    del project.environ["HOLD"]
    resumed = project.run("--resume")
    assert {place: told["state"] for place, told in resumed.items()} == {(step, 1): "done", ("latency", 1): "done"}


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that others may look into at any time: of its own folders pytest takes that away whenever it starts."""
    with tempfile.TemporaryDirectory(prefix="tailflame-loop-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.tool("perf", "setpriv")
def test_an_ordinary_user_measures_what_needs_no_rights(engine: Path, outside: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    if (paranoid := read_setting("kernel/perf_event_paranoid")) is None or paranoid > 2:
        refuse("the kernel lets nobody here record with perf")
    nobody = 65534
    folder = outside / "engine project"
    folder.mkdir()
    shutil.copy(engine, folder / "engine")
    project = Project(folder, outside / "profiles", {"HOME": str(outside)})
    project.plan("cpu", "latency", "probes", ms=500)
    for place in (outside, folder, *folder.iterdir()):
        os.chown(place, nobody, nobody)
    # This Python may stand where others cannot look: reading is allowed, performance events are not.
    project.prefix = (
        *("setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
        *(sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())"),
    )
    steps = project.run()
    assert {steps[name, n]["state"] for name in ("cpu", "latency") for n in (1, 2)} == {"done"}
    assert {steps["probes", n]["state"] for n in (1, 2)} == {"skipped"}
    assert "bpftrace" in steps["probes", 1]["problem"]


def needs_probes() -> None:
    if os.geteuid() != 0:
        pytest.skip("bpftrace runs as root alone")
    if shutil.which("bpftrace") is None:
        pytest.skip("bpftrace is not installed")
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        pytest.skip("in a container with process numbers of its own, which bpftrace does not know")


def test_probed_functions_are_figures_of_the_measurement(project: Project) -> None:
    needs_probes()
    project.plan("latency", "probes", ms=1000)
    steps = project.run()
    assert list(steps) == [("latency", 1), ("probes", 1), ("latency", 2), ("probes", 2)]
    assert {step["state"] for step in steps.values()} == {"done"}
    shown = json.loads(project.tailflame("show", steps["probes", 1]["session"], "--json").stdout)
    (timed,) = shown["latencies"]
    assert timed["tag"] == "match_order" and timed["count"] > 1000
    assert any("A probe delays each call of match_order" in one["text"] for one in shown["result"]["cautions"])
    plain = json.loads(project.tailflame("show", steps["latency", 1]["session"], "--json").stdout)
    assert [one["tag"] for one in plain["latencies"]] == ["total_us"], "nothing disturbs the plain run"
    project.tailflame("run", "--only", "probes")
    rows = json.loads(project.tailflame("verdict", "--json").stdout)["rows"]
    both = [row for row in rows if row["key"] == "p99 match_order" and row["before"] and row["after"]]
    assert len(both) == 1 and len(both[0]["before"]) == 2
