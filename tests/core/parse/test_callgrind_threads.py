"""callgrind's files of threads: together they are what callgrind itself has collected, and each thread stays one."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers.cost_reports import report_functions, report_totals, table_functions, text_of
from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.analyse.hotspots import thread_table
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.errors import ParseError
from tailflame.model import CostTable, Recording, StackProfile, Thread, Weight
from tailflame.parse import load
from tailflame.parse.cachegrind_profile import normalised

VALGRIND = DATA / "callgrind" / "3.19.0"
COLLECTED = 322_694
"""What callgrind has printed at the end of the run."""
THREADS = ("01", "02", "03")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The empty file, with those of the threads beside it."""
    for number in THREADS:
        packed = VALGRIND / f"threads.out-{number}.gz"
        (tmp_path / f"callgrind.out-{number}").write_bytes(gzip.decompress(packed.read_bytes()))
    empty = tmp_path / "callgrind.out"
    empty.touch()
    return empty


def reports() -> list[str]:
    return [text_of(VALGRIND / f"threads-{number}.annotate.txt.gz") for number in THREADS]


def parts_of(recording: Recording) -> tuple[StackProfile, CostTable]:
    assert recording.profile is not None and recording.costs is not None
    return recording.profile, recording.costs


def check_whole(recording: Recording) -> None:
    """All that callgrind and callgrind_annotate say of the threads."""
    profile, costs = parts_of(recording)
    totals = [report_totals(report)[0] for report in reports()]
    assert sum(totals) == COLLECTED == int(costs.totals[0])
    assert profile.total(weight=Weight.PERIOD) == pytest.approx(COLLECTED)
    expected: Counter[str] = Counter()
    for report in reports():
        for key, (cost,) in report_functions(report).items():
            file, _, function = key.partition(":")
            expected[f"{normalised(file)}:{function}"] += cost
    found = table_functions(costs)
    assert {key: found[key] for key in expected} == {key: (cost,) for key, cost in expected.items()}
    pid = int(re.search(r"PID (\d+)", reports()[0])[1])  # type: ignore[index]
    assert profile.threads == tuple(Thread(f"thread {number}", pid) for number in (1, 2, 3))
    for thread, total in enumerate(totals):
        tree = build_tree(profile, TreeOptions(weight=Weight.PERIOD, threads=frozenset({thread})))
        assert tree.total == pytest.approx(total)
    by_thread = thread_table(profile, build_tree(profile, TreeOptions(weight=Weight.PERIOD)))
    assert dict(zip(by_thread.key, by_thread.total_weight.tolist(), strict=True)) == pytest.approx(
        {f"thread {number}": total for number, total in enumerate(totals, 1)}
    )
    assert len(recording.warnings) == 1 and "estimate" in recording.warnings[0].text


def test_the_empty_file_beside_them_opens_as_all_of_them(base: Path) -> None:
    shares: list[float] = []
    recording = load(base, progress=shares.append)
    check_whole(recording)
    assert recording.source == str(base) and recording.format == "callgrind"
    assert shares and min(shares) >= 0.0 and max(shares) <= 1.0
    assert same(load(base, format="callgrind").results[1], recording.results[1])


def test_one_after_another_they_are_one_file_in_parts(base: Path, tmp_path: Path) -> None:
    """As callgrind writes them itself by --combine-dumps=yes."""
    whole = tmp_path / "together"
    whole.write_bytes(b"".join((tmp_path / f"callgrind.out-{number}").read_bytes() for number in THREADS))
    check_whole(load(whole))
    ours, theirs = load(whole).results, load(base).results
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_stacks_of_each_thread_are_its_own(base: Path) -> None:
    profile, _ = parts_of(load(base))
    for thread, number in enumerate(THREADS):
        alone, _ = parts_of(load(base.with_name(f"callgrind.out-{number}")))
        options = TreeOptions(weight=Weight.PERIOD, threads=frozenset({thread}))
        trees = build_tree(profile, options), build_tree(alone, TreeOptions(weight=Weight.PERIOD))
        one, other = (
            {tuple(map(tree.name, tree.path(node))): float(tree.total_weight[node]) for node in range(len(tree))}
            for tree in trees
        )
        assert one == pytest.approx(other)


def test_a_thread_by_itself_says_that_there_are_others(base: Path) -> None:
    recording = load(base.with_name("callgrind.out-02"))
    profile, costs = parts_of(recording)
    assert int(costs.totals[0]) == 102_619 and [thread.name for thread in profile.threads] == ["thread 2"]
    told = recording.warnings[-1]
    assert told.text == (
        "This is one thread of 3, which have a file each: callgrind.out-01, callgrind.out-03 stand beside it."
    )
    assert told.fix == f"Open {base}: it is read as all of them."
    base.unlink()
    told = load(base.with_name("callgrind.out-02")).warnings[-1]
    assert told.fix == f"Put them together: cat {base}-* > {base}"


def test_a_file_that_has_no_others_says_nothing_of_them(base: Path, tmp_path: Path) -> None:
    for number in THREADS[1:]:
        (tmp_path / f"callgrind.out-{number}").unlink()
    assert len(load(tmp_path / "callgrind.out-01").warnings) == 1
    assert int(parts_of(load(base))[1].totals[0]) == 141_762


def test_threads_of_another_run_are_none_of_it(base: Path, tmp_path: Path) -> None:
    old = (tmp_path / "callgrind.out-03").read_bytes()
    (tmp_path / "callgrind.out-04").write_bytes(re.sub(rb"pid: \d+", b"pid: 7", old))
    (tmp_path / "callgrind.out-05").write_text("no file of callgrind")
    (tmp_path / "callgrind.out-06").mkdir()
    (tmp_path / "callgrind.out.1-01").write_bytes(old)
    check_whole(load(base))
    assert len(load(tmp_path / "callgrind.out-04").warnings) == 1


def test_an_empty_file_alone_is_empty(tmp_path: Path) -> None:
    empty = tmp_path / "callgrind.out"
    empty.touch()
    with pytest.raises(ParseError, match="is empty") as told:
        load(empty)
    assert "stopped before it wrote anything" in told.value.advice


def test_parts_without_a_thread_are_nobodys(tmp_path: Path) -> None:
    head = "version: 1\ncreator: hand\npid: 5\n{}positions: line\nevents: Ir\n\n"
    body = "fl=a.c\nfn=f\n1 {0}\ncfn=g\ncalls=1 9\n2 {0}\n\nfn=g\n9 {0}\n\ntotals: {1}\n\n"
    path = tmp_path / "parts"
    parts = (("part: 1\nthread: 2\n", 10), ("part: 1\n", 100), ("part: 2\nthread: 2\n", 1))
    path.write_text("".join(head.format(thread) + body.format(cost, 2 * cost) for thread, cost in parts))
    recording = load(path, format="callgrind")
    profile, costs = parts_of(recording)
    assert int(costs.totals[0]) == 222 and len(recording.warnings) == 1
    assert profile.threads == (Thread("thread 2", 5),)
    rows = np.bincount(profile.samples.thread + 1, weights=profile.samples.period)
    assert rows.tolist() == [200, 22]
