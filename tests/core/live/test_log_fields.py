"""The program's own lines, live: what arrives in an interval is told of that interval, once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from helpers.loop import PATIENCE_S
from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.live import log_fields
from tailflame.live.log_fields import LogFields
from tailflame.model import Histogram, merge_all
from tailflame.model.live import (
    Armed,
    Artifact,
    Behind,
    Found,
    LatencySlice,
    Reading,
    Said,
    StageSlice,
    Status,
    Update,
)

SAMPLES = DATA / "tracing" / "0.3.23"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stdout.txt"


def append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())


def told(
    source: LogFields, until: Callable[[list[Update]], bool], *, armed: Callable[[], None] = lambda: None
) -> list[Update]:
    """What the source says until that is so. `armed` is called once it is."""
    updates: list[Update] = []

    async def listen() -> None:
        async with asyncio.timeout(PATIENCE_S), aclosing(source.updates()) as stream:
            async for update in stream:
                updates.append(update)
                if isinstance(update, Armed):
                    armed()
                if until(updates):
                    return

    asyncio.run(listen())
    return updates


def wholes(updates: list[Update]) -> dict[str, Histogram]:
    parts: dict[str, list[Histogram]] = defaultdict(list)
    for update in updates:
        if isinstance(update, LatencySlice):
            parts[update.series].append(update.histogram)
    return {series: merge_all(histograms) for series, histograms in parts.items()}


def total(updates: list[Update], series: str) -> int:
    return wholes(updates).get(series, Histogram.empty()).total


def ended_process() -> int:
    """A pid whose process has ended, and is not yet waited for."""
    return os.posix_spawn("/bin/true", ["true"], {})


def read_whole(path: Path, **options: object) -> list[Update]:
    """Everything that is in the file, as of a target that has ended."""
    pid = ended_process()
    try:
        source = LogFields(path, from_start=True, pid=pid, interval_s=0.01, **options)  # type: ignore[arg-type]
        return told(source, lambda _: False)
    finally:
        os.waitpid(pid, 0)


def test_percentiles_are_those_that_the_program_printed() -> None:
    updates = read_whole(SAMPLES / "demo.jsonl")
    assert isinstance(updates[0], Armed)
    histograms = wholes(updates)
    rows = (SAMPLES / "demo-report.txt").read_text().split("latency percentiles (us)\n")[1].splitlines()[1:]
    assert [row.split()[0] for row in rows] == [series.removesuffix("_us") for series in _in_report(histograms)]
    for row in rows:
        stage, *figures, count = row.split()
        whole = histograms[f"{stage}_us"]
        # The log has nanoseconds, as the program measured them.
        assert [f"{v / 1000:.3f}" for v in (*whole.percentiles(), whole.maximum)] == figures
        assert whole.total == int(count)
    (stages,) = (update for update in updates if isinstance(update, StageSlice))
    assert stages.series == "total_us"
    assert stages.stages == ("validation_us", "risk_check_us", "execution_us")
    assert (stages.events, stages.tail_events) == (599, 5)
    # Four orders of the slow path are among the five slowest: it is the risk check that made the tail.
    assert stages.tail_sums_ns[1] > 5 * (stages.tail_sums_ns[0] + stages.tail_sums_ns[2])
    assert stages.sums_ns[1] < 5 * (stages.sums_ns[0] + stages.sums_ns[2])
    assert [u.names for u in updates if isinstance(u, Found)] == [{"order_id": "", "account": ""}]


def _in_report(histograms: dict[str, Histogram]) -> list[str]:
    order = ("validation_us", "risk_check_us", "execution_us", "total_us")
    assert set(histograms) == set(order)
    return list(order)


def test_lines_as_they_come(path: Path) -> None:
    """A file that is not there yet; text with colours; half a line; intervals that join."""
    source = LogFields(path, interval_s=0.02)
    steps = iter(
        [
            "\x1b[3mvalidation_us\x1b[0m\x1b[2m=\x1b[0m5 wait_ms=2\nvalidation_us=7 wait_",
            "ms=3\n",
            'garbage \x00\x1b[ "\n{"validation_us":"x"}\n{"fields":{"validation_us":9}}\n',
        ]
    )
    due = [0]

    def seen(updates: list[Update]) -> bool:
        if total(updates, "validation_us") >= due[0]:
            text = next(steps, None)
            if text is None:
                return True
            append(path, text)
            due[0] += 1
        return False

    updates = told(source, seen)
    histograms = wholes(updates)
    assert histograms["validation_us"].percentiles((0.0, 50.0, 100.0)) == (5000, 7003, 9007)
    assert histograms["wait_ms"].total == 2
    slices = [u for u in updates if isinstance(u, LatencySlice) and u.series == "validation_us"]
    for one, two in pairwise(slices):
        assert two.start_s == pytest.approx(one.start_s + one.length_s, abs=1e-6)
    assert abs(slices[-1].start_s - time.monotonic()) < 60


def test_chosen_fields_and_units(path: Path) -> None:
    path.write_text("")
    source = LogFields(path, fields=["latency", "depth"], units={"latency": "us"}, interval_s=0.02)
    line = "latency=12 depth=3 other_us=4 at_ns=1795630636000000000\n"
    updates = told(
        source, lambda u: total(u, "latency") == 2 and isinstance(u[-1], Found), armed=lambda: append(path, line * 2)
    )
    assert set(wholes(updates)) == {"latency"}
    assert wholes(updates)["latency"].maximum == 12_007
    assert isinstance(updates[-1], Found)
    # A point in time is no latency, whatever the name says.
    assert updates[-1].names == {"other_us": "us", "at_ns": ""}
    means = [u for u in updates if isinstance(u, Reading) and u.status is Status.COUNTED]
    assert [(u.series, u.value, u.unit) for u in means] == [("depth, mean", 3.0, "")]
    with pytest.raises(ValueError, match="“fortnights” is no unit"):
        LogFields(path, units={"latency": "fortnights"})


def test_choosing_and_leaving_while_it_runs(path: Path) -> None:
    path.write_text("")
    source = LogFields(path, interval_s=0.02)

    def seen(updates: list[Update]) -> bool:
        append(path, "a_us=1 depth=5\n")
        found = [u.names for u in updates if isinstance(u, Found)]
        if found == [{"depth": ""}]:
            source.choose("depth", "ms")
            source.leave("a_us")
        return total(updates, "depth") > 0 and found[-1] == {"a_us": "us"}

    updates = told(source, seen)
    assert wholes(updates)["depth"].minimum == Histogram.of([5_000_000]).minimum
    assert not isinstance(updates[-1], LatencySlice) or updates[-1].series == "depth"


def test_what_is_no_latency_is_left_out_and_told_once(path: Path) -> None:
    path.write_text('{"a_us":-5}\n{"a_us":1e400}\n{"a_us":1e300}\n{"a_us":NaN}\n{"a_us":3}\n{"a_us":"12us"}\na_us=1\n')
    updates = read_whole(path)
    assert wholes(updates)["a_us"].total == 3
    assert [u.text for u in updates if isinstance(u, Said)] == [
        "a_us was −5.00 µs in a line, which is no latency: such values are left out."
    ]


def test_rotated_emptied_and_copied(path: Path, tmp_path: Path) -> None:
    path.write_text("")
    raw = tmp_path / "lines.txt"
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    source = LogFields(path, interval_s=0.02, pid=process.pid, raw=raw)
    done = set()

    def seen(updates: list[Update]) -> bool:
        count = total(updates, "a_us")
        if count == 1 and 1 not in done:
            os.rename(path, path.with_suffix(".1"))
            path.write_text("a_us=2\n")
        elif count == 2 and 2 not in done:
            os.truncate(path, 0)
            append(path, "a_us=3 x=00000\na_us=")
        elif count == 3 and 3 not in done:
            append(path, "4")
            assert process.stdin is not None
            process.stdin.close()
        done.add(count)
        return False

    with process:
        updates = told(source, seen, armed=lambda: append(path, "a_us=1\n"))
    assert wholes(updates)["a_us"].total == 4, "the last line needs no end once the program has ended"
    assert [u.text for u in updates if isinstance(u, Said)] == [
        "stdout.txt has been replaced by a new file, which is read on.",
        "stdout.txt has been emptied, and is read from its beginning.",
    ]
    assert updates[-1] == Artifact(role="log", path=raw)
    assert raw.read_text() == "a_us=1\na_us=2\na_us=3 x=00000\na_us=4"


def test_two_files(tmp_path: Path) -> None:
    out, err = tmp_path / "stdout.txt", tmp_path / "stderr.txt"

    def write() -> None:
        append(out, "a_us=1\n")
        append(err, "a_us=2\nb_us=3\n")

    updates = told(
        LogFields([out, err, out], interval_s=0.02),
        lambda u: total(u, "a_us") == 2 and total(u, "b_us") == 1,
        armed=write,
    )
    assert total(updates, "a_us") == 2


def test_a_source_that_is_behind_says_by_how_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading is made slow: every block takes more than the interval, and 40 of them have been written."""
    monkeypatch.setattr(log_fields, "CHUNK", 1000)
    monkeypatch.setattr(log_fields, "_BEHIND_S", 0.0)
    path.write_text("")
    source = LogFields(path, interval_s=0.001)
    line = "a_us=1 " + "x" * 92 + "\n"
    updates = told(
        source,
        lambda u: isinstance(u[-1], Behind) and u[-1] == Behind(seconds=0.0, bytes=0),
        armed=lambda: append(path, line * 20_000),
    )
    behind = [u for u in updates if isinstance(u, Behind)]
    assert behind[0].bytes > 0
    assert behind[0].seconds >= 0
    assert total(updates, "a_us") == 20_000


def test_many_different_fields_are_bounded(path: Path) -> None:
    path.write_text("".join(f"field{n}_us={n} number{n}={n}\n" for n in range(150)))
    updates = read_whole(path)
    assert len(wholes(updates)) == log_fields.TAKEN_LIMIT
    found = next(u for u in updates if isinstance(u, Found))
    assert len(found.names) == 300 - log_fields.TAKEN_LIMIT


def test_nothing_is_left_when_it_is_switched_off(path: Path) -> None:
    path.write_text("")
    source = LogFields(path, interval_s=0.01, pid=os.getpid(), raw=path.with_suffix(".raw"))

    async def switch_off() -> None:
        armed = asyncio.Event()

        async def listen() -> None:
            async with aclosing(source.updates()) as stream:
                async for _ in stream:
                    armed.set()

        async with asyncio.timeout(PATIENCE_S):
            task = asyncio.get_running_loop().create_task(listen())
            await armed.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(switch_off())
    assert not any(str(path.parent) in name for name in opened_files())


def opened_files() -> list[str]:
    names = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return names


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="is a folder"):
        told(LogFields(tmp_path), lambda _: False)


def test_the_lines_that_are_searched_are_bounded_but_known_fields_are_read_from_all(path: Path) -> None:
    path.write_text("a_us=1\n" * 1000 + "b_us=2\n" * 1000)
    updates = read_whole(path)
    assert wholes(updates)["a_us"].total == 1000
    assert "b_us" not in wholes(updates)
