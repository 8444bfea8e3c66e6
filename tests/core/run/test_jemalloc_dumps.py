"""The dumps of a run, joined into one file that opens as the folder does."""

from __future__ import annotations

import shutil
from pathlib import Path

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.parse import load
from tailflame.run.jemalloc_dumps import join, main

DUMPS = DATA / "jemalloc" / "5.3.0" / "dumps"


def test_joined_dumps_open_as_their_folder_does(tmp_path: Path) -> None:
    for path in DUMPS.glob("*.heap"):
        shutil.copy(path, tmp_path)
    (tmp_path / "other.heap").write_text("no dump")
    joined = tmp_path / "jemalloc.heap"
    assert join(tmp_path, joined) == 4
    one, folder = load(joined), load(tmp_path)
    assert one.heap is not None
    assert one.heap.number.tolist() == [0, 3, 6, 7]
    assert all(same(a, b) for a, b in zip(one.results, folder.results, strict=True))
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []
    # Joined again, what was joined before does not count.
    assert join(tmp_path, joined) == 4


def test_a_dump_that_ends_without_a_line_end(tmp_path: Path) -> None:
    text = next(DUMPS.glob("*.i3.heap")).read_text()
    (tmp_path / "jeprof.7.0.i0.heap").write_text(text.rstrip("\n"))
    (tmp_path / "jeprof.7.1.f.heap").write_text(text)
    assert main([str(tmp_path), str(tmp_path / "all")]) == 0
    recording = load(tmp_path / "all")
    assert recording.heap is not None
    assert len(recording.heap) == 2


def test_nothing_to_join(tmp_path: Path) -> None:
    assert main([str(tmp_path), str(tmp_path / "all")]) == 0
    assert not (tmp_path / "all").exists()
