"""`tailflame watch`: what it refuses, what a line says, and a folder of snapshots that is read once and kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.cli.conftest import Tailflame
from helpers.stacks import profile
from tailflame.analyse.slices import merge
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.watch import bytes_of, document_of, sentence_of
from tailflame.model.slices import Overhead, SliceFigures
from tailflame.report import svg
from tailflame.store import Library

ROW = SliceFigures(
    first=3, last=3, start_s=10.0, length_s=60.0, samples=5940.0, cpu_s=60.0, top="risk::check", top_share=0.213
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three snapshots, each with all that was before."""
    made = tmp_path / "snapshots"
    made.mkdir()
    for n in range(1, 4):
        path = made / f"profile_{1795643000 + n}000.svg"
        svg.write(merge([profile("main;a 10\nmain;b 5")] * n), path)
        os.utime(path, (1795643000, 1795643000))
    return made


@pytest.mark.parametrize(
    ("text", "size"), [("1G", 2**30), ("500M", 500 * 2**20), ("64k", 65536), ("1.5GiB", 3 * 2**29), ("100", 100)]
)
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "G", "many", "-1G", "0", "1X", "nan", "1e300G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        bytes_of(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Either a program or a folder"),
        (("--pid", "1", "--folder", "."), "Either a program or a folder"),
        (("--pid", "1", "--slice", "0"), "--slice must be between"),
        (("--pid", "1", "--frequency", "0"), "--frequency must be between"),
        (("--pid", "1", "--budget-cpu", "0"), "--budget-cpu must be above zero"),
        (("--pid", "1", "--seconds", "nan"), "--seconds must be above zero"),
    ],
)
def test_wrong_wishes_are_said(tailflame: Tailflame, words: tuple[str, ...], said: str) -> None:
    done = tailflame("watch", *words)
    assert done.code == ExitCode.USAGE
    assert said in done.err


def test_a_process_that_is_not_there_is_a_sentence(tailflame: Tailflame) -> None:
    done = tailflame("watch", "--pid", "4194303")
    assert done.code == ExitCode.TARGET
    assert "There is no process 4194303" in done.err


def test_a_line_tells_samples_top_and_overhead() -> None:
    cost = Overhead(wall_s=60.0, perf_s=0.07, own_s=0.11, disk_bytes=1_200_000, frequency=99)
    line = sentence_of(ROW, cost, 0.0)
    assert "5,940 samples  risk::check 21.3%  overhead 0.30% of a core, 1.2 MB" in line
    assert "perf unknown + " in sentence_of(ROW, Overhead(wall_s=60.0, perf_s=None, own_s=0.1), 0.0)
    assert document_of(ROW, 3, cost, 1000.0)["time"] == 1010.0
    assert document_of(ROW, 3, None, 0.0)["overhead"] is None


def test_a_folder_is_read_once_and_kept_less_its_predecessors(
    tailflame: Tailflame, folder: Path, library: Library
) -> None:
    done = tailflame("watch", "--folder", folder, "--once", "--json")
    assert done.code == ExitCode.OK, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    last = told[-1]
    assert last["slices"] == 3
    assert last["samples"] == 45
    assert "less the one before it" in last["finished"]
    shown = tailflame("show", last["session"], "--json").document
    assert shown["view"]["samples"] == 45
    assert [one["samples"] for one in shown["slices"]] == [15, 15, 15]
    text = tailflame("show", last["session"]).out
    assert "slice" in text
    assert "a 66.7%" in text
    (info,) = library.sessions()
    assert info.tool == "snapshots"


PPROF = Path(__file__).parents[2] / "data" / "pprof"


def test_pprof_files_are_slices_and_one_that_is_cut_is_said(tailflame: Tailflame, tmp_path: Path) -> None:
    """The figures are those of `go tool pprof -top` beside the samples: 340 ms, of which asyncPreempt has 47.06 %."""
    folder = tmp_path / "pprof"
    folder.mkdir()
    cpu = (PPROF / "go-1.26.8" / "cpu.pb.gz").read_bytes()
    for name, data in (
        ("cpu-1795643001.pb.gz", cpu),
        ("rust-1795643002.pb", (PPROF / "pprof-rs-0.15" / "pprof-rs.pb").read_bytes()),
        ("cpu-1795643003.pb.gz", cpu[:300]),
    ):
        path = folder / name
        path.write_bytes(data)
        os.utime(path, (1795643000, 1795643000))
    done = tailflame("watch", "--folder", folder, "--once", "--json")
    assert done.code == ExitCode.OK, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    go, rust = (one for one in told if "slice" in one)
    assert (go["source"], go["samples"], go["cpu_s"]) == ("cpu-1795643001.pb.gz", 34, pytest.approx(0.34))
    assert go["top"] == "runtime.asyncPreempt"
    assert go["top_share"] == pytest.approx(0.4706, abs=1e-4)
    assert (rust["source"], rust["samples"]) == ("rust-1795643002.pb", 232)
    said = [one["said"] for one in told if "said" in one]
    assert any("cpu-1795643003.pb.gz is left out" in text and "cut short" in text for text in said)
    assert told[-1]["slices"] == 2


def test_the_switch_shows_each_file_whole(tailflame: Tailflame, folder: Path) -> None:
    done = tailflame("watch", "--folder", folder, "--once", "--json", "--snapshots", "each")
    assert json.loads(done.out.splitlines()[-1])["samples"] == 15 + 30 + 45


def test_a_folder_without_profiles_keeps_nothing(tailflame: Tailflame, tmp_path: Path, library: Library) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = tailflame("watch", "--folder", empty, "--once")
    assert done.code == ExitCode.OK
    assert "nothing is kept" in done.err
    assert library.sessions() == ()
    gone = tailflame("watch", "--folder", tmp_path / "gone")
    assert gone.code == ExitCode.INPUT
    assert "cannot be watched" in gone.err
