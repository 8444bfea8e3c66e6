"""perf stat's output in all its shapes: the figures that perf printed, and what it could not count as such."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.analyse.student import mean_and_error
from tailflame.errors import ParseError
from tailflame.model import CounterSeries, Recording
from tailflame.model.counter_ratios import whole_run
from tailflame.model.counters import ELAPSED, STATUSES, Kept
from tailflame.model.live import Status
from tailflame.parse import load
from tailflame.parse.perf_stat import PERF_STAT
from tailflame.parse.perf_stat_rows import Row, SeriesNames, json_row, separated_row, separator_of, text_row

REAL = DATA / "perf-stat" / "6.1.187"
ALL = sorted(path for path in REAL.iterdir() if path.suffix in (".txt", ".csv", ".json"))
SOFTWARE = ("task-clock", "context-switches", "cpu-migrations", "page-faults", "msr/tsc/")
DEAD = ("cycles", "instructions", "cache-references", "cache-misses")


def series_of(recording: Recording) -> CounterSeries:
    assert recording.counters is not None
    return recording.counters


def read(folder: Path, text: str) -> Recording:
    path = folder / "stat.out"
    path.write_text(text)
    return load(path)


def statuses(series: CounterSeries, name: str) -> list[Status]:
    return [STATUSES[code] for code in series.of(name).status]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_content_alone_decides(path: Path, tmp_path: Path) -> None:
    unknown = tmp_path / "unknown"
    unknown.write_bytes(path.read_bytes())
    recording = load(unknown)
    assert recording.format == "perf-stat"
    assert series_of(recording).value.tobytes() == series_of(load(path)).value.tobytes()


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_a_run_reads_as_perf_printed_it(suffix: str) -> None:
    text = (REAL / f"run.{suffix}").read_text()
    recording = load(REAL / f"run.{suffix}")
    series = series_of(recording)
    for event in SOFTWARE:
        printed = {
            "txt": rf"([\d.]+) (?:msec)?\s+{event}",
            "csv": rf"([\d.]+),(?:msec)?,{event}",
            "json": rf'"counter-value" : "([\d.]+)", "unit" : "\w*", "event" : "{event}"',
        }[suffix]
        match = re.search(printed, text)
        assert match is not None
        assert series.of(event).value.tolist() == [float(match[1])]
    for event in DEAD:
        assert statuses(series, event) == [Status.NOT_SUPPORTED]
    assert statuses(series, "IPC") == statuses(series, "cache miss rate") == [Status.NOT_SUPPORTED]
    assert series.unit_of("task-clock") == "ms"
    assert recording.meta.started_at is not None
    assert recording.meta.started_at.replace(tzinfo=None).isoformat().startswith("2026-11-25T18:3")


def test_the_text_also_tells_the_command_and_the_seconds() -> None:
    recording = load(REAL / "run.txt")
    series = series_of(recording)
    assert recording.meta.command == ("/usr/bin/python3", "two.py", "0.4")
    assert recording.meta.duration_s == 0.445115785
    assert series.of("user time").value.tolist() == [339.421]
    # "399.40 msec task-clock # 0.897 CPUs utilized", "1004 page-faults" in 0.445 s
    assert series.of("CPU by task clock").value[0] == pytest.approx(89.7, abs=0.06)
    assert series.of("page faults").value[0] == pytest.approx(1004 / 0.445115785)
    assert recording.warnings == ()


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_intervals_add_up_to_perfs_own_summary(suffix: str) -> None:
    path = REAL / f"intervals.{suffix}"
    summary = {}
    for line in path.read_text().splitlines():
        row: Row | None
        if suffix == "json":
            row = json_row(line) if line.startswith("{") else None
        elif suffix == "csv":
            row = separated_row(line, "|") if "|" in line else None
        else:
            row = text_row(line) if "seconds" not in line else None
        if row is not None and row.time_s is None and row.value is not None:
            summary[row.event] = row.value
    assert summary.keys() == set(SOFTWARE)
    recording = load(path)
    series = series_of(recording)
    for event, value in summary.items():
        column = series.of(event)
        # perf prints milliseconds with two decimals in texts
        assert column.value.sum() == pytest.approx(value, abs=0.03 if event == "task-clock" else 0)
        assert len(column.value) == len(series.of("cycles").value) >= 4
    start, length, *_ = series.of("page-faults")
    assert start[0] == 0.0
    assert (start + length)[:-1].tolist() == pytest.approx(start[1:].tolist())
    assert recording.meta.duration_s == pytest.approx(float((start + length)[-1]))
    assert length[-1] < 0.1  # the last interval is cut short by the program's end
    assert whole_run(series, "page-faults") == summary["page-faults"]


SPREAD = {
    "txt": {"task-clock": 1.20, "context-switches": 26.20, "page-faults": 0.03, "msr/tsc/": 1.30},
    "csv": {"task-clock": 0.86, "context-switches": 5.77, "page-faults": 0.07, "msr/tsc/": 0.84},
    "json": {"task-clock": 2.52, "context-switches": 4.55, "page-faults": 0.03, "msr/tsc/": 2.49},
}
"""perf's "+-" in each of repeated.*."""


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_a_perf_that_prints_its_last_run_as_the_average_is_found_out(suffix: str) -> None:
    """ "764 context-switches # 6.242 K/sec" beside "120.92 msec task-clock": the rate is by the averages' clock."""
    recording = load(REAL / f"repeated.{suffix}")
    series = series_of(recording)
    assert len(series.of("page-faults").value) == 1
    assert series.kept is Kept.LAST and series.repeated and not series.by_run
    assert series.runs == (3 if suffix == "txt" else 0), "CSV and JSON do not tell it"
    (caution,) = recording.warnings
    over = "3 runs" if suffix == "txt" else "several runs"
    assert caution.text == (
        f"Each count is the last run's, though perf meant to average over {over}; the ± beside it is that average's "
        f"standard error, {max(SPREAD[suffix].values()):.1f}% at most."
    )


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_what_perf_prints_behind_plus_minus_is_kept(suffix: str) -> None:
    text = (REAL / f"repeated.{suffix}").read_text()
    series = series_of(load(REAL / f"repeated.{suffix}"))
    for event, spread in SPREAD[suffix].items():
        printed = {
            "txt": rf" {event} .* \( \+- *{spread:.2f}% \)",
            "csv": rf";{event};{spread:.2f}%;",
            "json": rf'"event" : "{event}", "variance" : {spread:.2f},',
        }[suffix]
        assert re.search(printed, text)
        assert series.spread_of(event) == spread
    assert math.isnan(series.spread_of("cpu-migrations")), "there was none: 0 by 0"
    assert math.isnan(series.spread_of("cycles"))


def test_the_elapsed_time_is_an_average_with_a_spread_too() -> None:
    series = series_of(load(REAL / "repeated.txt"))
    assert "0.13738 +- 0.00411 seconds time elapsed  ( +-  3.00% )" in (REAL / "repeated.txt").read_text()
    assert series.of(ELAPSED).value.tolist() == [pytest.approx(137.38)]
    assert (series.spread_of(ELAPSED), series.kept_of(ELAPSED), series.unit_of(ELAPSED)) == (3.0, Kept.MEAN, "ms")
    assert load(REAL / "repeated.txt").meta.duration_s == 0.13738


def test_the_elapsed_time_of_each_run_is_read_from_perfs_table(tmp_path: Path) -> None:
    text = (REAL / "table.txt").read_text()
    listed = [float(match) for match in re.findall(r"^ +([\d.]+) \([+-][\d.]+\) #", text, re.MULTILINE)]
    final = re.search(r"([\d.]+) \+- ([\d.]+) seconds time elapsed  \( \+- +([\d.]+)% \)", text)
    assert final is not None and listed == [0.13452, 0.13475, 0.14690, 0.14735]
    series = series_of(load(REAL / "table.txt"))
    assert series.of(ELAPSED).value.tolist() == pytest.approx([1000 * seconds for seconds in listed])
    assert (series.runs, series.kept_of(ELAPSED), series.kept_of("page-faults")) == (4, Kept.EACH, Kept.LAST)
    mean, error = mean_and_error(listed)
    assert mean == pytest.approx(float(final[1]), abs=1e-5) and error == pytest.approx(float(final[2]), abs=1e-5)
    assert series.spread_of(ELAPSED) == float(final[3]) == pytest.approx(100 * error / mean, abs=0.01)
    short = series_of(read(tmp_path, text.replace("           0.13475 (-0.00613) #\n", "")))
    assert short.of(ELAPSED).value.tolist() == [pytest.approx(1000 * float(final[1]))], "they are not all there"


def test_plus_minus_is_the_standard_error_of_the_mean_of_the_runs() -> None:
    """With -v perf lists the counts of each run above what it makes of them."""
    listed: dict[str, list[float]] = {}
    for line in (REAL / "verbose.txt").read_text().splitlines():
        if match := re.fullmatch(r"([\w-]+): (\d+) \d+ \d+", line):
            listed.setdefault(match[1], []).append(float(match[2]))
    series = series_of(load(REAL / "verbose.txt"))
    assert (series.runs, series.kept, set(map(len, listed.values()))) == (4, Kept.LAST, {4})
    for event, counts in listed.items():
        scale = 1e6 if event == "task-clock" else 1.0
        value = series.of(event).value[0]
        assert value == pytest.approx(counts[-1] / scale, abs=0.005)
        _, error = mean_and_error(counts)
        assert series.spread_of(event) == pytest.approx(100 * error / counts[-1], abs=0.006)


def averages() -> str:
    """repeated.txt as a perf prints it that does average."""
    text = (REAL / "repeated.txt").read_text()
    true = {"764 ": "755 ", "1004 ": "992 ", "293988144": "290472111"}
    for last, average in true.items():
        text = text.replace(last, average)
    return text


def test_averages_over_runs_are_said_to_be_averages(tmp_path: Path) -> None:
    recording = read(tmp_path, averages())
    series = series_of(recording)
    assert (series.kept, series.runs, series.spread_of("page-faults")) == (Kept.MEAN, 3, 0.03)
    (caution,) = recording.warnings
    assert caution.text == (
        "Each count is perf's average over 3 runs; the ± beside it is that average's standard error, 26.2% at most."
    )


def test_a_part_of_a_count_can_only_be_an_average(tmp_path: Path) -> None:
    line = (
        '{"counter-value" : "31.333333", "unit" : "", "event" : "page-faults", "variance" : 1.06, "pcnt-running" : 100}'
    )
    series = series_of(read(tmp_path, line))
    assert (series.kept, series.runs, series.spread_of("page-faults")) == (Kept.MEAN, 0, 1.06)


@pytest.mark.parametrize(
    "lines",
    [
        "1004;;page-faults;0.07%;120601728;100.00;;\n",  # no clock
        # few counts: whether the average was 4.3 or the last run's was 4, rounding hides
        "4.44;msec;task-clock;9.00%;4440000;100.00;0.8;CPUs utilized\n4;;page-faults;7.00%;4440000;100.00;970.0;/sec\n",
        # runs that do not differ
        "120.60;msec;task-clock;0.01%;1;100.00;0.8;CPUs utilized\n1004;;page-faults;0.07%;1;100.00;8.325;K/sec\n",
    ],
)
def test_what_cannot_be_told_of_averages_is_not_told(lines: str, tmp_path: Path) -> None:
    recording = read(tmp_path, lines)
    assert series_of(recording).kept is Kept.EITHER
    assert recording.warnings[0].text.startswith(
        "Each count is perf's average over several runs, or the last run's as perf 6.1 prints it; the ± beside it"
    )


def test_a_text_leaves_out_a_spread_of_nothing_and_has_one_above_a_hundred(tmp_path: Path) -> None:
    text = (REAL / "repeated.txt").read_text()
    text = text.replace("( +- 26.20% )", "( +-238.50% )").replace("( +-  0.03% )", "")
    series = series_of(read(tmp_path, text))
    assert (series.spread_of("context-switches"), series.spread_of("page-faults")) == (238.5, 0.0)


def test_averages_that_were_appended_are_no_runs(tmp_path: Path) -> None:
    text = (REAL / "repeated.csv").read_text()
    recording = read(tmp_path, text + text)
    assert (series_of(recording).runs, series_of(recording).kept) == (0, Kept.LAST)
    assert recording.warnings[-1].text == "It holds the figures of 2 runs; the first is shown."


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_runs_that_were_appended_are_runs(suffix: str) -> None:
    """Each run keeps its own figures, so that what they vary by can be counted again."""
    path = REAL / f"runs.{suffix}"
    recording = load(path)
    series = series_of(recording)
    assert series.runs == 3 and series.by_run
    faults = {"txt": [1035, 1034, 1034], "json": [1032, 1034, 1032]}
    column = series.of("page-faults")
    if suffix in faults:
        assert column.value.tolist() == faults[suffix]
    assert column.start_s.tolist() == [0, 1, 2]
    assert len(series.of("task-clock").value) == 3
    assert set(statuses(series, "cycles")) == {Status.NOT_SUPPORTED}
    spans = series.of("duration_time").value
    assert recording.meta.duration_s == pytest.approx(spans.sum() / 1e9)
    assert (series.of("page faults").value * spans / 1e9).tolist() == pytest.approx(column.value.tolist())
    assert not recording.warnings


def test_intervals_after_a_whole_run_are_no_run_of_it(tmp_path: Path) -> None:
    path = tmp_path / "perf-stat.txt"
    path.write_text(
        "# started on Wed Nov 25 18:31:02 2026\n\n120.60;msec;task-clock;0.86%;120601728;100.00;0.812;CPUs utilized\n"
        "# started on Wed Nov 25 18:31:03 2026\n\n#           time             counts unit events\n"
        "     0.100151457              86.44 msec task-clock                       #    0.864 CPUs utilized\n"
    )
    recording = load(path)
    assert series_of(recording).of("task-clock").value.tolist() == [pytest.approx(120.6)]
    assert recording.meta.duration_s is None


def test_the_figures_of_another_program_are_no_run_of_this_one(tmp_path: Path) -> None:
    other = (REAL / "runs.txt").read_text().replace("two.py 0.1", "two.py 0.4", 1)
    recording = read(tmp_path, other)
    assert series_of(recording).runs == 0
    assert recording.warnings[0].text == "It holds the figures of 3 runs; the first is shown."


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cores.csv", {"S0-D0-C0", "S0-D0-C1"}),
        ("cpus.json", {"CPU0", "CPU1"}),
        ("cpus.txt", {"CPU0", "CPU1"}),
        ("threads.txt", {"python3 (21386)", "python3 (21388)"}),
        ("threads.csv", {"python3 (21386)", "python3 (21388)"}),
        ("threads.json", {"python3 (21386)", "python3 (21388)"}),
    ],
)
def test_parts_of_the_whole_are_series_of_their_own(name: str, parts: set[str]) -> None:
    series = series_of(load(REAL / name))
    assert {n.partition(", ")[2] for n in series.names} == parts
    assert {n.partition(", ")[0] for n in series.names} >= {"task-clock", "page-faults"}


CGROUPS = {"shop/book", "shop/feed"}


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_cgroups_are_parts_of_the_whole(suffix: str) -> None:
    """--for-each-cgroup shop/book,shop/feed"""
    path = REAL / f"cgroups.{suffix}"
    series = series_of(load(path))
    events = ("task-clock", "context-switches", "page-faults", "cycles")
    computed = {"CPU by task clock", "context switches", "page faults"} if suffix == "txt" else set()
    assert set(series.names) == {f"{name}, {cgroup}" for name in (*events, *computed) for cgroup in CGROUPS}
    printed = {
        "txt": r"([\d.]+) (?:msec)? *{event} +{cgroup} #",
        "csv": r"([\d.]+),(?:msec)?,{event},{cgroup},",
        "json": r'"counter-value" : "([\d.]+)", "unit" : "\w*", "event" : "{event}", "cgroup" : "{cgroup}"',
    }[suffix]
    for cgroup in CGROUPS:
        for event in events[:3]:
            match = re.search(printed.format(event=event, cgroup=cgroup), path.read_text())
            assert match is not None
            assert series.of(f"{event}, {cgroup}").value.tolist() == [float(match[1])]
        assert statuses(series, f"cycles, {cgroup}") == [Status.NOT_SUPPORTED]
        assert series.unit_of(f"task-clock, {cgroup}") == "ms"


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_cgroups_on_each_processor_over_time(suffix: str) -> None:
    series = series_of(load(REAL / f"cgroups-cpus.{suffix}"))
    assert {name.partition(", ")[2] for name in series.names} == {f"CPU{n}, {c}" for n in (0, 1) for c in CGROUPS}
    times = {"txt": [37.90, 12.48, 1.57], "json": [45.858796, 51.213366]}[suffix]
    assert series.of("task-clock, CPU1, shop/book").value.tolist() == times
    assert len(series.of("task-clock, CPU0, shop/feed").value) == len(times)
    if suffix == "txt":
        assert statuses(series, "task-clock, CPU0, shop/book") == [Status.COUNTED, Status.COUNTED, Status.NOT_COUNTED]
        assert series.of("task-clock, CPU0, shop/book").value[:2].tolist() == [0.07, 9.35]


def test_an_event_that_holds_the_separator_may_have_a_cgroup() -> None:
    row = separated_row("5,,cpu/event=0x3c,umask=0x1/u,/shop/a-12,1.25%,1000,50.00,,", ",")
    assert row is not None
    assert (row.event, row.part, row.variance) == ("cpu/event=0x3c,umask=0x1/u", "/shop/a-12", 1.25)
    row = separated_row("     0.050119384,CPU0,50.49,msec,task-clock,/,50488333,100.00,1.010,CPUs utilized", ",")
    assert row is not None
    assert (row.event, row.part) == ("task-clock", "CPU0, /")


@pytest.mark.parametrize(
    ("line", "event", "unit", "part"),
    [
        (
            "     <not counted> msec task-clock                /                                   ",
            "task-clock",
            "ms",
            "/",
        ),
        (
            "               120      context-switches          user.slice #  589.000 /sec  ",
            "context-switches",
            "",
            "user.slice",
        ),
        (
            "              1.20 Joules power/energy-pkg/                                ",
            "power/energy-pkg/",
            "Joules",
            "",
        ),
        ("                 7      syscalls:sys_enter_epoll_wait a #", "syscalls:sys_enter_epoll_wait", "", "a"),
        ("            203.45 msec task-clock                       #    2.000 CPUs utilized  ", "task-clock", "ms", ""),
    ],
)
def test_a_word_behind_an_event_is_its_cgroup(line: str, event: str, unit: str, part: str) -> None:
    row = text_row(line)
    assert row is not None
    assert (row.event, row.unit, row.part) == (event, unit, part)


def test_words_of_a_program_are_no_counter_of_a_cgroup() -> None:
    assert text_row("3 orders were matched") is None
    assert text_row("120 orders matched twice, 7 lost") is None


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_a_heading_above_each_interval_is_no_counter(suffix: str) -> None:
    """--interval-clear"""
    text = (REAL / f"cleared.{suffix}").read_text()
    assert text.count("#           time             counts unit events") == 3
    recording = load(REAL / f"cleared.{suffix}")
    series = series_of(recording)
    printed = {"txt": r"(\d+)      page-faults", "json": r'"(\d+)\.000000", "unit" : "", "event" : "page-faults"'}[
        suffix
    ]
    faults = [float(found) for found in re.findall(printed, text)]
    assert len(faults) == 3 and series.of("page-faults").value.tolist() == faults
    assert whole_run(series, "page-faults") == sum(faults)
    assert statuses(series, "cycles") == [Status.NOT_SUPPORTED] * 3
    assert not recording.warnings


def test_counts_of_user_space_alone_are_said_to_be_so() -> None:
    recording = load(REAL / "user.json")
    series = series_of(recording)
    assert series.of("page-faults").value.tolist() == [999.0, 0.0, 15.0]
    assert statuses(series, "context-switches") == [Status.NOT_COUNTED] * 3  # perf's zeros
    (caution,) = recording.warnings
    assert caution.text.startswith("Only user space was counted. Context switches")
    assert caution.fix == "Allow the kernel's part: sudo sysctl kernel.perf_event_paranoid=1"


def test_multiplexing_is_shown_and_not_scaled_again(tmp_path: Path) -> None:
    text = """\
 Performance counter stats for process id '4711':

     1,234,567,890      cycles                    #    2.469 GHz                      (42.86%)
       617,283,945      instructions              #    0.50  insn per cycle
                                                  #    0.30  stalled cycles per insn  (57.14%)
     <not counted>      cache-misses                                                  (0.00%)

       0.500000000 seconds time elapsed
"""
    recording = read(tmp_path, text)
    series = series_of(recording)
    assert series.of("cycles").value.tolist() == [1_234_567_890.0]
    assert series.of("cycles").running.tolist() == [0.4286]
    # perf prints the share behind the last metric of a counter
    assert series.of("instructions").value.tolist() == [617_283_945.0]
    assert series.of("instructions").running.tolist() == [0.5714]
    assert series.of("IPC").value.tolist() == [0.5]
    assert statuses(series, "cache-misses") == [Status.NOT_COUNTED]
    assert recording.meta.command == ()
    assert "estimates" in recording.warnings[0].text


def test_newer_perf_and_two_kinds_of_processors(tmp_path: Path) -> None:
    rows = [
        {"interval": 0.1, "counters": 1, "counter-value": "300.000000", "unit": "", "event": "cpu_core/instructions/u",
         "event-runtime": 1, "pcnt-running": 60.0, "metric-value": "1.5", "metric-unit": "insn per cycle"},
        {"interval": 0.1, "metric-value": "0.5", "metric-unit": "stalled", "metric-threshold": "good"},
        {"interval": 0.1, "counter-value": "200.000000", "event": "cpu_core/cycles/u", "pcnt-running": "60.0"},
        {"interval": 0.1, "counter-value": "<not counted>", "unit": "", "event": "cpu_atom/cycles/u",
         "event-runtime": 0, "pcnt-running": 0.0},
        {"interval": 0.1, "counter-value": "2.000000", "unit": "msec", "event": "task-clock:u", "pcnt-running": 100.0,
         "metric-unit": "(null)"},
    ]  # fmt: skip
    recording = read(tmp_path, "\n".join(map(json.dumps, rows)) + "\n")
    series = series_of(recording)
    assert series.of("IPC, cpu_core").value.tolist() == [1.5]
    assert series.of("IPC, cpu_core").running.tolist() == [0.6]
    assert statuses(series, "cycles, cpu_atom") == [Status.NOT_COUNTED]
    assert series.of("task-clock").value.tolist() == [2.0]


@pytest.mark.parametrize(
    "text",
    [
        '{"counter-value" : "1,03", "unit" : "msec", "event" : "task-clock", "pcnt-running" : 100,00}\n',
        " Performance counter stats for 'true':\n\n   1,03 msec task-clock   #  0,324 CPUs utilized\n",
        " Performance counter stats for 'true':\n\n   1.234.567      cycles\n",
        " Performance counter stats for 'true':\n\n      0,003170349 seconds time elapsed\n",
    ],
)
def test_a_decimal_comma_is_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParseError, match="decimal comma") as caught:
        read(tmp_path, text)
    assert "LC_ALL=C" in caught.value.advice


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "::", " "])
def test_any_separator(separator: str, tmp_path: Path) -> None:
    fields = ("     0.100208612", "88.39", "msec", "task-clock", "88387302", "43.00", "0.884", "CPUs")
    dead = ("     0.100208612", "<not supported>", "", "cycles", "0", "100.00", "", "")
    line = separator.join(fields)
    assert separator_of(line) == separator
    series = series_of(read(tmp_path, f"{line}\n{separator.join(dead)}\n"))
    assert series.of("task-clock").value.tolist() == [88.39]
    assert series.of("task-clock").running.tolist() == [0.43]
    assert statuses(series, "cycles") == [Status.NOT_SUPPORTED]


def test_an_event_may_hold_the_separator() -> None:
    row = separated_row("5,,cpu/event=0x3c,umask=0x1/,1.25%,1000,50.00,,", ",")
    assert row is not None
    assert (row.event, row.value, row.variance, row.running) == ("cpu/event=0x3c,umask=0x1/", 5.0, 1.25, 0.5)


def test_older_perf_puts_the_unit_behind_the_event(tmp_path: Path) -> None:
    text = " Performance counter stats for 'true':\n\n   0.923456      task-clock (msec)    #    0.500 CPUs utilized\n"
    series = series_of(read(tmp_path, text))
    assert (series.of("task-clock").value.tolist(), series.unit_of("task-clock")) == ([0.923456], "ms")


@pytest.mark.parametrize(
    "text",
    [
        "main;parse;read 42\nmain;write 7\n",
        "a,b,c\n1,2,3\n4.5,6,100.00\n",
        '{"event": "click", "value": 3}\n',
        "name;unit;value;12;100\n",
        '#[Histogram log format version 1.3]\n"StartTimestamp","Interval_Length"\n0.1,1.0,2.0,HISTFAAAA\n',
        "perf-1234 [000] 12.345678: 1000 cycles: \n\tffff main+0x1 (/bin/x)\n",
        "",
        "#",
    ],
)
def test_other_texts_are_not_taken(text: str) -> None:
    assert PERF_STAT.sniff(text.encode(), "stat.csv") < 0


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_file_cut_anywhere_is_read_or_a_sentence(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for end in range(1, len(data), max(len(data) // 40, 1)):
        (tmp_path / "cut").write_bytes(data[:end])
        try:
            recording = load(tmp_path / "cut", format="perf-stat")
        except ParseError as error:
            assert error.sentence
        else:
            assert len(series_of(recording)) > 0


def test_a_damaged_line_is_left_out_and_told(tmp_path: Path) -> None:
    whole = (REAL / "intervals.json").read_text().splitlines()
    whole[4] = whole[4][:30]
    recording = read(tmp_path, "\n".join(whole))
    assert recording.warnings[0].text == "1 line was left out (line 5: it is not JSON)."


def test_a_thread_name_cut_within_a_character(tmp_path: Path) -> None:
    line = b'{"thread" : "caf\xc3-7", "counter-value" : "5.0", "unit" : "", "event" : "faults"}\n'
    path = tmp_path / "threads.json"
    path.write_bytes(line * 2)
    assert load(path).warnings == ()
    row = json_row(line)
    assert row is not None
    assert row.part == r"caf\xc3 (7)"


VALUES = (
    st.text(max_size=12) | st.floats() | st.integers() | st.none() | st.sampled_from(["<not counted>", "1.5", "(null)"])
)
KEYS = st.sampled_from(["interval", "event", "counter-value", "unit", "pcnt-running", "variance", "thread", "cpu", "x"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES | st.lists(VALUES, max_size=2), max_size=9))
def test_any_object_is_a_row_or_a_sentence(document: dict[str, object]) -> None:
    try:
        row = json_row(json.dumps(document))
    except ValueError:
        return
    if row is not None:
        assert (row.value is not None) == (row.status is Status.COUNTED)
        assert row.value is None or math.isfinite(row.value)
        assert 0 <= row.running <= 1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(max_size=8) | st.sampled_from(["100.00", "12", "msec", "<not supported>"]), max_size=12), st.text()
)
def test_any_line_is_a_row_or_a_sentence(fields: Sequence[str], other: str) -> None:
    for line in (",".join(fields), " ".join(fields), other):
        for parse in (lambda text: separated_row(text, ","), lambda text: separated_row(text, " "), text_row):
            try:
                row = parse(line)
            except ValueError:
                continue
            assert row is None or (row.value is not None) == (row.status is Status.COUNTED)


@settings(max_examples=100, deadline=None)
@given(
    value=st.integers(0, 10**15),
    running=st.integers(0, 10000),
    event=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    part=st.sampled_from(["", "CPU3", "S0-D0-C1", "my worker-12"]),
)
def test_the_three_shapes_say_the_same(value: int, running: int, event: str, part: str) -> None:
    share = f"{running / 100:.2f}"
    text = text_row(f"     1.000000001 {part}  {value:,}      {event}   #  1.2 GHz  ({share}%)")
    cells = ["     1.000000001", *([part] if part else []), str(value), "", event, "77", share, "1.2", "GHz"]
    comma = separated_row(",".join(cells), ",")
    assert text is not None
    assert comma is not None
    for row in (text, comma):
        assert (row.value, row.event, row.time_s) == (value, event, 1.000000001)
        assert row.running == pytest.approx(running / 10000)
    assert text.part == comma.part == ("my worker (12)" if part == "my worker-12" else part)


def test_a_wish_for_user_space_is_kept_in_the_name() -> None:
    names = SeriesNames(asked=frozenset({"cycles:u", "page-faults"}))
    names.learn(["cycles:u", "page-faults:u", "sched:sched_switch"])

    def name(event: str) -> str:
        return names.name(Row(event=event, status=Status.NOT_COUNTED, value=None))

    assert [name("cycles:u"), name("page-faults:u"), name("sched:sched_switch")] == [
        "cycles, user space", "page-faults", "sched:sched_switch",
    ]  # fmt: skip
