"""Each recipe with the real bpftrace, on a program whose figures are known, and on the demo."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tailflame.cli.main import main
from tailflame.errors import TailflameError, ToolDenied, ToolFailed
from tailflame.model import Recording, StackProfile
from tailflame.model.maps import ProbeMaps
from tailflame.parse import load
from tailflame.parse.bpftrace_bundled import recipe_named
from tailflame.run.bpftrace_run import ProbeEnded, ProbeRun, ProbeSeen, ProbeWish
from tailflame.run.bpftrace_session import kept, new_session
from tailflame.store import Library
from tailflame.tools import Target
from tailflame.tools.bpftrace import impossible

pytestmark = [
    pytest.mark.tool("bpftrace"),
    pytest.mark.tool("gcc"),
    pytest.mark.skipif(os.geteuid() != 0, reason="bpftrace needs root"),
]

CALLS, FAILURES, SLEEPS, PAGES, BLOCKS, SIZE = 700, 30, 25, 300, 400, 3000
PROGRAM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
__attribute__((noinline)) int work(int i) { __asm__ volatile("" : : "r"(i)); return i; }
__attribute__((noinline)) void ask(void) { for (int i = 0; i < CALLS; i++) { work(i); syscall(SYS_getppid); } }
__attribute__((noinline)) void fail(void) { for (int i = 0; i < FAILURES; i++) close(-1); }
__attribute__((noinline)) void touch(void) {
  char *p = mmap(0, PAGES * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(p, PAGES * 4096L, MADV_NOHUGEPAGE);
  for (int i = 0; i < PAGES; i++) ((volatile char *)p)[i * 4096L] = 1;
  __asm__ volatile("");
}
void *keep[BLOCKS];
__attribute__((noinline)) void take(void) { for (int i = 0; i < BLOCKS; i++) keep[i] = malloc(SIZE); }
// The C library keeps no frame pointers: whoever calls it is missing in a stack, so that is this one.
__attribute__((noinline)) void nap(void) { struct timespec length = {0, 10000000L}; nanosleep(&length, 0); }
__attribute__((noinline)) double wait_for_it(void) {
  double slept = 0;
  for (int i = 0; i < SLEEPS; i++) {
    double before = now();
    nap();
    slept += now() - before;
  }
  return slept;
}
__attribute__((noinline)) void spin(double s) { double end = now() + s; while (now() < end) ; __asm__ volatile(""); }
int main(int argc, char **argv) {
  ask(); fail(); touch(); take(); spin(0.6);
  printf("%.9f %d\n", wait_for_it(), argc);
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("known figures")  # a blank in its path: bpftrace splits there
    source, binary = folder / "known.c", folder / "known"
    source.write_text(PROGRAM)
    sizes = {"CALLS": CALLS, "FAILURES": FAILURES, "SLEEPS": SLEEPS, "PAGES": PAGES, "BLOCKS": BLOCKS, "SIZE": SIZE}
    subprocess.run(
        ["gcc", "-O1", "-g", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer",
         *(f"-D{name}={value}" for name, value in sizes.items()), str(source), "-o", str(binary)],
        check=True,
    )  # fmt: skip
    return binary


def run(wish: ProbeWish, out: Path, *, until: Callable[[ProbeMaps], bool] | None = None) -> ProbeEnded:
    """Until it ends, or until what was seen so far is enough."""
    out.mkdir(exist_ok=True)

    async def follow() -> ProbeEnded:
        probe, ended = ProbeRun(wish, out), None
        async with asyncio.timeout(120):
            async for update in probe.updates():
                if isinstance(update, ProbeSeen) and until is not None and until(update.maps):
                    probe.stop()
                if isinstance(update, ProbeEnded):
                    ended = update
        assert ended is not None
        return ended

    return asyncio.run(follow())


def ask(name: str, program: Path, out: Path, **values: object) -> tuple[Recording, Path]:
    """The recipe on the program; the recording, and the folder."""
    recipe = recipe_named(name)
    assert recipe is not None
    if reason := impossible(recipe):
        pytest.skip(reason)
    ended = run(ProbeWish(target=Target(program, ("a b", "")), recipe=recipe, values=values), out)
    assert ended.result is not None
    return load(ended.result), out


def numbers(recording: Recording, name: str) -> dict[str, float]:
    assert recording.maps is not None
    one = recording.maps.named(name)
    assert one is not None, [m.name for m in recording.maps.maps]
    return {row.key[0] if row.key else "": row.number for row in one.rows}


def below(profile: StackProfile | None, function: str, *, period: bool = False) -> float:
    """What the stacks with this function come to."""
    assert profile is not None
    total = 0.0
    weights = profile.samples.period if period else profile.samples.count
    for stack, weight in zip(profile.samples.stack, weights, strict=True):
        names = {profile.frames.name_of(int(profile.stacks.frame[at])) for at in profile.stacks.path(int(stack))}
        total += float(weight) if function in names else 0.0
    return total


@pytest.mark.tool("strace")
def test_system_calls_are_those_that_strace_counts(program: Path, tmp_path: Path) -> None:
    recording, out = ask("syscalls", program, tmp_path / "out")
    calls = numbers(recording, "@calls")
    assert calls["getppid"] == CALLS
    assert recording.maps is not None
    errors = recording.maps.named("@errors")
    assert errors is not None
    assert {row.key: row.values for row in errors.rows}[("close", "EBADF")] == (FAILURES,)
    assert numbers(recording, "@latency_ns") == calls
    # A program with a blank in its path, and arguments with a blank and empty ones, has got them as they are.
    assert (out / "stdout.txt").read_text().split("\n")[0].endswith(" 3")
    table = tmp_path / "strace.txt"
    subprocess.run(["strace", "-f", "-c", "-o", str(table), str(program)], check=True, capture_output=True)
    rows = [words for words in map(str.split, table.read_text().splitlines()) if len(words) in (5, 6)]
    traced = {words[-1]: int(words[3]) for words in rows if words[3].isdecimal()}
    # Before it becomes the program, the process is bpftrace, and env: they map and close, but they do none of these.
    for name in ("getppid", "clock_nanosleep", "madvise"):
        assert calls[name] == traced[name], name


def test_off_cpu_time_is_that_of_the_sleeps(program: Path, tmp_path: Path) -> None:
    recording, out = ask("off-cpu", program, tmp_path / "out")
    slept = float((out / "stdout.txt").read_text().split()[0])
    waited = below(recording.profile, "wait_for_it", period=True) / 1e9
    # Each sleep ends when the thread runs again, a little before it has read the clock.
    assert 0.9 * slept < waited <= slept
    # Two stacks that fall into one place of the kernel's table are one; and it may lose its processor at any time.
    assert SLEEPS - 3 <= below(recording.profile, "wait_for_it") <= SLEEPS + 3
    assert sum(row.values[0] for row in recording.maps.maps[0].rows) >= SLEEPS if recording.maps else False


def test_short_waits_can_be_left_out(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("off-cpu", program, tmp_path / "out", least_us="8000")
    assert recording.maps is not None
    lengths = recording.maps.named("@latency_ns")
    assert lengths is not None and lengths.total >= SLEEPS
    assert all((bucket.low or 0) >= 1 << 22 for row in lengths.rows for bucket in row.buckets)


def test_calls_of_a_function_are_all_counted(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("calls", program, tmp_path / "out", symbol="work")
    assert numbers(recording, "@calls") == {"known": CALLS}
    assert below(recording.profile, "work") == CALLS


def test_latency_of_a_function_counts_each_call(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("latency", program, tmp_path / "out", symbol="work")
    assert numbers(recording, "@latency_ns") == {"": CALLS}
    assert recording.histograms is not None and recording.histograms.whole("@latency_ns").total == CALLS


def test_sizes_of_allocations(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("malloc", program, tmp_path / "out")
    assert recording.maps is not None
    sizes = recording.maps.named("@size_bytes")
    assert sizes is not None
    assert {b.low: b.count for row in sizes.rows for b in row.buckets}[2048] == BLOCKS
    allocated = numbers(recording, "@allocated")
    assert BLOCKS * SIZE <= allocated["known"] < BLOCKS * SIZE + 100_000
    # Before it becomes the program, the process is bpftrace, and env.
    assert recording.profile is not None and recording.profile.samples.period.sum() == sum(allocated.values())


def test_page_faults_are_where_pages_are_touched(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("page-faults", program, tmp_path / "out")
    assert below(recording.profile, "touch") >= PAGES
    assert recording.profile is not None
    assert recording.profile.total() == sum(numbers(recording, "@by_thread").values())


def test_context_switches_are_told_by_their_cause(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("switches", program, tmp_path / "out")
    assert numbers(recording, "@waited")["known"] >= SLEEPS
    assert below(recording.profile, "wait_for_it") >= SLEEPS - 3


def test_each_wait_for_a_processor_is_counted(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("run-queue", program, tmp_path / "out")
    # All but the first: a thread is known from the first time that it stops running on.
    assert numbers(recording, "@latency_ns")[""] >= SLEEPS - 1


def test_cpu_samples_are_where_it_spins(program: Path, tmp_path: Path) -> None:
    recording, _ = ask("cpu", program, tmp_path / "out", hertz=499)
    assert recording.profile is not None and not recording.profile.events[0].exact
    assert below(recording.profile, "spin") > 0.5 * recording.profile.total()


@pytest.mark.parametrize("name", ["block-io", "tcp-retransmits"])
def test_what_looks_at_the_machine_ends_well_though_nothing_may_happen(
    name: str, program: Path, tmp_path: Path
) -> None:
    recipe = recipe_named(name)
    assert recipe is not None
    if reason := impossible(recipe):
        pytest.skip(reason)
    ended = run(ProbeWish(target=Target(program), recipe=recipe), tmp_path)
    assert ended.maps.recipe == name


def test_a_running_program_is_looked_at_and_left_as_it_was(demo_binary: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "profiles")
    demo = subprocess.Popen(
        [demo_binary, "--mode", "serve", "--rate", "2000", "--threads", "2"], stdout=subprocess.DEVNULL
    )
    try:
        wish = ProbeWish(target=Target(demo_binary, pid=demo.pid), recipe=recipe_named("off-cpu"))
        session = new_session(library, wish)
        ended = run(wish, session.path, until=lambda maps: any(one.rows for one in maps.maps))
        assert demo.poll() is None
    finally:
        demo.terminate()
        demo.wait()
    recording = kept(session, wish, ended)
    assert ended.outcome == "stopped"
    assert below(recording.profile, "trading_system::engine::Pace::wait", period=True) > 0
    assert recording.maps is not None and recording.maps.program == wish.program()
    assert {row.key[0] for row in recording.maps.maps[1].rows} >= {"engine-0", "engine-1"}
    assert library.session(session.id).title == "Off-CPU time: trading-system"


def test_programs_of_ones_own_and_their_mistakes(tmp_path: Path) -> None:
    ended = run(ProbeWish(target=None, text='BEGIN { printf("hello\\n"); @n = 3; exit(); }'), tmp_path)
    assert ended.maps.text == "hello\n"
    assert [row.values for row in ended.maps.maps[0].rows] == [(3,)]
    with pytest.raises(ToolFailed, match="line 2, column 8: Unknown function: nosuch") as caught:
        run(ProbeWish(target=None, text="BEGIN {\n  @x = nosuch(3); }"), tmp_path)
    assert "nosuch" in caught.value.details
    with pytest.raises(ToolDenied, match="unsafe"):
        run(ProbeWish(target=None, text='BEGIN { system("true"); }'), tmp_path)
    with pytest.raises(ToolFailed, match="no tracepoint nosuch:thing"):
        run(ProbeWish(target=None, text="tracepoint:nosuch:thing { @ = count(); }"), tmp_path)


def test_a_program_of_ones_own_finds_the_process_in_its_first_parameter(demo_binary: Path, tmp_path: Path) -> None:
    with subprocess.Popen([demo_binary, "--mode", "serve", "--rate", "2000"], stdout=subprocess.DEVNULL) as demo:
        text = "tracepoint:raw_syscalls:sys_enter /pid == $1/ { @[pid] = count(); } interval:ms:200 { print(@); }"
        wish = ProbeWish(target=Target(demo_binary, pid=demo.pid), text=text)
        ended = run(wish, tmp_path, until=lambda maps: bool(maps.maps))
        demo.terminate()
    assert {row.key for row in ended.maps.maps[0].rows} == {(str(demo.pid),)}


def test_a_kernel_without_kprobes_is_explained(tmp_path: Path) -> None:
    if Path("/sys/kernel/tracing/kprobe_events").exists():
        pytest.skip("this kernel has kprobes")
    with pytest.raises(TailflameError, match="without kprobes"):
        run(ProbeWish(target=None, text="kprobe:vfs_read { @ = count(); }"), tmp_path)


def test_nothing_is_left_behind_where_nobody_listens_any_more(program: Path, tmp_path: Path) -> None:
    async def leave() -> None:
        recipe = recipe_named("syscalls")
        updates = ProbeRun(ProbeWish(target=Target(program), recipe=recipe), tmp_path).updates()
        async for _ in updates:
            break
        await updates.aclose()

    asyncio.run(leave())
    assert not re.search(rf"bpftrace.*{re.escape(str(tmp_path))}", _processes())


def _processes() -> str:
    return "\n".join(
        path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists()
    )


def test_from_the_command_line(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiles = ["--profiles", str(tmp_path)]
    assert main(["probe", "calls", "--function", "work", *profiles, "--", str(program)]) == 0
    said = capsys.readouterr().out
    assert f"{CALLS}  known" in said and "kept in" in said
    assert main(["show", "latest", *profiles]) == 0
    assert "Calls by stack" in capsys.readouterr().out
    assert main(["diff", "latest", "latest", *profiles]) == 0
    assert "±0.0%  known" in capsys.readouterr().out


def test_recorded_like_any_tool(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["record", "--tool", "bpftrace", "--set", "recipe=calls", "--set", "calls-symbol=work"]
    assert main([*words, "--profiles", str(tmp_path), "--", str(program)]) == 0, capsys.readouterr().err
    (result,) = tmp_path.glob("*/bpftrace.json")
    assert numbers(load(result), "@calls") == {"known": CALLS}
