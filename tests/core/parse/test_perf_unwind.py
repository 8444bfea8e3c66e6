"""Stacks that perf unwinds in slices: the same samples as in one piece, whatever becomes of one of the slices."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.errors import Cancelled, ToolFailed
from tailflame.parse import perf_unwind
from tailflame.parse.perf_file import read_perf_file
from tailflame.parse.perf_run import fields_for, run_script
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perf_unwind import Reading, Slice, slices_of, unwind

SECOND = 10**9
FIELDS = ("comm", "pid", "tid", "time", "period", "event", "ip", "sym", "symoff", "dso")
# A perf that has a sample at each of the seconds 10 to 19, follows --time, and says in a file that it runs.
FAKE = """
import os, sys, time
from pathlib import Path
FOLDER = Path(__file__).parent
(FOLDER / f"pid-{os.getpid()}").touch()
argv = sys.argv
first, last = "", ""
if "--time" in argv:
    first, last = argv[argv.index("--time") + 1].split(",")
def inside(second):
    return (not first or second >= float(first)) and (not last or second <= float(last))
"""


@pytest.fixture
def fake_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(perf_unwind, "_LEAST", 2)
    monkeypatch.setattr(perf_unwind, "_processors", lambda: 4)
    return folder / "perf"


def write(path: Path, body: str) -> None:
    path.write_text(f"#!{sys.executable}\n{FAKE}{body}")
    path.chmod(0o755)


def ten(
    watch: object = lambda _: None, fields: tuple[str, ...] = FIELDS
) -> tuple[perf_unwind.PerfText, perf_unwind.Ended]:
    return unwind(
        Path("/tmp/any.data"), fields=fields, has_chains=True, first_ns=10 * SECOND, last_ns=19 * SECOND, samples=10,
        watch=watch,  # type: ignore[arg-type]
    )  # fmt: skip


def stacks(found: PerfSamples) -> list[tuple[object, ...]]:
    """Each sample with its frames as text."""
    frame, parent = found.stacks.frame.tolist(), found.stacks.parent.tolist()
    text: list[str] = []
    for own, above in zip(frame, parent, strict=True):
        name = f"{found.frames[own].name}@{found.frames[own].address:x}"
        text.append(f"{text[above]};{name}" if above >= 0 else name)
    rows = found.samples
    columns = (rows.time_ns, rows.period, rows.thread, rows.event, rows.stack)
    return [
        (at, period, found.threads[thread], found.events[event].name, text[stack] if stack >= 0 else "")
        for at, period, thread, event, stack in zip(*(column.tolist() for column in columns), strict=True)
    ]


@given(
    first=st.integers(0, 2**62), width=st.integers(-5, 10**12), samples=st.integers(0, 10**7),
    processors=st.integers(1, 64), seed=st.integers(0, 2**32 - 1), timed=st.booleans(),
)  # fmt: skip
def test_every_time_is_in_one_slice(
    first: int, width: int, samples: int, processors: int, seed: int, timed: bool
) -> None:
    chance = np.random.default_rng(seed)
    times = first + chance.integers(0, max(width, 1), 200) if timed else None
    slices = slices_of(first, first + width, samples, processors=processors, times=times)
    assert len(slices) <= processors
    if not slices:
        return
    assert slices[0].first_ns == -1 and slices[-1].last_ns == -1
    for one, other in itertools.pairwise(slices):
        assert one.last_ns + 1 == other.first_ns  # no gap; perf takes both ends as inside
    for part in slices[1:-1]:
        assert part.first_ns <= part.last_ns


def test_the_slices_follow_the_samples_not_the_clock() -> None:
    times = np.append(np.arange(100), 1_000_000)
    cut = slices_of(0, 1_000_000, 100_000, processors=2, times=times)
    assert cut == [Slice(-1, 49), Slice(50, -1)]
    assert cut[1].argument == "0.000000050,"


def test_small_files_and_files_without_times_are_not_cut() -> None:
    assert slices_of(-1, 9, 10**6, processors=8) == []
    assert slices_of(5, 5, 10**6, processors=8) == []
    assert slices_of(0, 10**9, perf_unwind._LEAST, processors=8) == []
    assert slices_of(0, 10**9, 10**6, processors=1) == []


def test_parts_are_put_together_in_the_order_of_time(fake_perf: Path) -> None:
    write(
        fake_perf,
        "if not first: time.sleep(0.2)\n"  # the first slice is the last to print
        "for s in range(10, 20):\n"
        "    frame = f'{s % 4} f{s % 4}+0x1 (/x)'\n"
        "    if inside(s): print(f't{s % 3} 7/{s % 3} {s}.000000000:  5 cpu-clock: \\n\\t {frame}\\n')\n",
    )
    shares: list[tuple[int, int]] = []
    reader, ended = ten(lambda text: shares.append((len(text), text.latest_ns)))
    assert (len(reader), ended.code) == (10, 0)
    assert shares == sorted(shares) and shares[-1] == (10, 19 * SECOND)
    found = reader.finish()
    assert found.samples.time_ns.tolist() == [s * SECOND for s in range(10, 20)]
    assert [row[4] for row in stacks(found)] == [f"t{s % 3}@-1;f{s % 4}@{s % 4:x}" for s in range(10, 20)]
    assert len(list(fake_perf.parent.glob("pid-*"))) == 4


def test_a_slice_that_fails_is_told_and_the_rest_is_kept(fake_perf: Path) -> None:
    write(
        fake_perf,
        "for s in range(10, 20):\n"
        "    if inside(s): print(f't 7/7 {s}.000000000:  5 cpu-clock: \\n\\t 1 f+0x1 (/x)\\n', flush=True)\n"
        "    if inside(s) and s == 13: os.kill(os.getpid(), 9)\n",
    )
    reader, ended = ten()
    assert reader.finish().samples.time_ns.tolist() == [s * SECOND for s in (10, 11, 12, 13, *range(15, 20))]
    assert ended.code == -9
    assert ended.last_complaint == (
        "1 part of 4 failed and may lack samples, the first of them 2.2 s from the start: killed by signal 9"
    )


def test_all_slices_fail(fake_perf: Path) -> None:
    write(fake_perf, "print('incompatible file format', file=sys.stderr)\nsys.exit(234)\n")
    reader, ended = ten()
    assert (len(reader), ended.code, ended.last_complaint) == (0, 234, "incompatible file format")
    write(fake_perf, "os.kill(os.getpid(), 9)\n")
    with pytest.raises(ToolFailed, match="killed by signal 9"):
        ten()


def test_a_field_that_perf_refuses_is_left_out(fake_perf: Path) -> None:
    write(
        fake_perf,
        "if 'period' in argv[argv.index('-F') + 1].split(','):\n"
        "    sys.exit(\"Samples for 'cpu-clock' event do not have PERIOD set. Cannot print 'period' field.\")\n"
        "for s in range(10, 20):\n"
        "    if inside(s): print(f't 7/7 {s}.000000000: cpu-clock: \\n\\t 1 f+0x1 (/x)\\n')\n",
    )
    reader, ended = ten()
    assert (len(reader), ended.code) == (10, 0)


def test_a_cancel_ends_every_process_at_once(fake_perf: Path) -> None:
    write(fake_perf, "time.sleep(120)\n")
    folder = fake_perf.parent

    def watch(_: Reading) -> None:
        if len(list(folder.glob("pid-*"))) == 4:
            raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        ten(watch)
    assert time.monotonic() - began < 60  # they would sleep for two minutes
    for note in folder.glob("pid-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.name.removeprefix("pid-")), 0)


PROGRAM = """
import hashlib, threading, time
def inner(n): return sum(hashlib.sha256(bytes(n)).digest())
def outer(end):
    while time.monotonic() < end: inner(3000); [inner(i) for i in range(40)]
end = time.monotonic() + 2
threading.Thread(target=outer, args=(end,), name="other").start()
outer(end)
"""


@pytest.mark.tool("perf")
def test_a_real_recording_is_the_same_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "perf.data"
    command = ["perf", "record", "-q", "-k", "CLOCK_MONOTONIC", "-e", "cpu-clock", "-F", "499", "--call-graph",
               "dwarf,8192", "-o", str(path), "--", sys.executable, "-c", PROGRAM]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"perf cannot record here: {done.stderr.strip()[-200:]}")
    file = read_perf_file(path)
    assert file.tally.samples > 100
    fields = fields_for(file.header.fields)
    whole, ended = run_script(path, fields=fields, has_chains=True, watch=lambda _: None)
    assert (len(whole), ended.code) == (file.tally.samples, 0)
    monkeypatch.setattr(perf_unwind, "_LEAST", 10)
    monkeypatch.setattr(perf_unwind, "_processors", lambda: 3)
    seen: Counter[int] = Counter()

    def watch(text: Reading) -> None:
        seen[len(text)] += 1

    sliced, ended = unwind(
        path, fields=fields, has_chains=True, first_ns=file.header.first_ns, last_ns=file.header.last_ns,
        samples=file.tally.samples, watch=watch,
    )  # fmt: skip
    assert (len(sliced), ended.code) == (file.tally.samples, 0)
    assert list(seen) == sorted(seen)
    assert sliced.records == whole.records
    assert stacks(sliced.finish()) == stacks(whole.finish())
    # A slice that ends at a sample's own time has it, and the next one has not.
    times = np.sort(np.unique([int(t) for t in _times(path)]))
    middle = int(times[len(times) // 2])
    for border in (middle, middle + 1):
        parts = [Slice(-1, border - 1), Slice(border, -1)]
        monkeypatch.setattr(perf_unwind, "slices_of", lambda *_, parts=parts, **__: parts)
        cut, _ = unwind(
            path, fields=fields, has_chains=True, first_ns=file.header.first_ns, last_ns=file.header.last_ns,
            samples=file.tally.samples, watch=lambda _: None,
        )  # fmt: skip
        assert len(cut) == file.tally.samples


def _times(path: Path) -> list[int]:
    said = subprocess.run(
        ["perf", "script", "-f", "-i", str(path), "--ns", "-G", "-F", "time"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = []
    for line in said.split():
        with contextlib.suppress(ValueError):
            found.append(int(line.rstrip(":").replace(".", "")))
    return found
