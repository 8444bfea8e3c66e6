"""The files of callgrind's threads, put together in the one that callgrind leaves empty."""

from __future__ import annotations

import gzip
from pathlib import Path

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.parse import load
from tailflame.run.callgrind_threads import join, main

VALGRIND = DATA / "callgrind" / "3.19.0"


def test_what_is_put_together_is_the_whole(tmp_path: Path) -> None:
    for packed in VALGRIND.glob("threads.out-*.gz"):
        name = packed.name.removesuffix(".gz").replace("threads", "callgrind")
        (tmp_path / name).write_bytes(gzip.decompress(packed.read_bytes()))
    base = tmp_path / "callgrind.out"
    base.touch()
    before = load(base)
    assert main([str(base)]) == 0 and base.stat().st_size
    after = load(base)
    assert after.costs is not None and int(after.costs.totals[0]) == 322_694  # callgrind's own "Collected"
    assert all(same(a, b) for a, b in zip(after.results, before.results, strict=True))
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    assert load(tmp_path / "callgrind.out-01").warnings[-1].fix == f"Open {base}: it is read as all of them."
    # Put together again, it is the same.
    assert join(base) == 3 and load(base).costs is not None


def test_without_files_nothing_is_written(tmp_path: Path) -> None:
    base = tmp_path / "callgrind.out"
    assert join(base) == 0 and not base.exists()
