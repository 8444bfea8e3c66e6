"""Maps come back from a stored recording as they were, numbers of 64 bits included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.stack_counts import DATA
from tailflame.errors import StoreError
from tailflame.model.maps import Bucket, MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.parse import load
from tailflame.store.files import Fields
from tailflame.store.map_columns import decode_maps, encode_maps
from tailflame.store.session import load_recording, save_recording
from tailflame.store.tables import Columns

MAPS = ProbeMaps(
    maps=(
        ProbeMap("@a", MapKind.VALUES, (MapRow(("k", "a,b"), (2**64 - 1,)), MapRow((), (-3,)), MapRow((), text="x"))),
        ProbeMap("@h", MapKind.HIST, (MapRow((), buckets=(Bucket(None, -1, 2), Bucket(1 << 31, None, 1))),)),
        ProbeMap("@s", MapKind.STATS, (MapRow(("\udcff",), (1, 2, 3)),), "Title", "ns", ("thread",)),
    ),
    text="said\n",
    lost=3,
    probes=2,
    recipe="syscalls",
    program="BEGIN {}",
)


def test_everything_comes_back() -> None:
    columns: Columns = {}
    header = encode_maps(MAPS, "r0", columns)
    assert decode_maps(Fields(header, "x"), "r0", columns) == MAPS


@pytest.mark.parametrize("name", ["maps/maps.json", "recipes/off-cpu.json", "recipes/syscalls.json"])
def test_a_recording_with_maps_is_kept(tmp_path: Path, name: str) -> None:
    recording = load(DATA / "bpftrace" / "0.17.0" / name)
    save_recording(tmp_path, recording)
    assert load_recording(tmp_path).maps == recording.maps


@pytest.mark.parametrize(
    "text", ["", "[", "{}", "3", '[["@a","values","","",[]]]', '[["@a","odd","","",[],[]]]',
             '[["@a","values","","",[],[[["k"],["x"],[],""]]]]', '[["@a","values","","",[],[[["k"],[1],[[1,2]],""]]]]',
             '[["@a","values","","",[],[[[1],[1],[],""]]]]', '[[1,"values","","",[],[]]]', "[" * 5000],
)  # fmt: skip
def test_damage_is_a_sentence(text: str) -> None:
    columns: Columns = {"r0.maps": np.frombuffer(text.encode(), dtype="|u1")}
    with pytest.raises(StoreError, match="damaged"):
        decode_maps(Fields({}, "recording.npz"), "r0", columns)
    with pytest.raises(StoreError, match="missing"):
        decode_maps(Fields({}, "recording.npz"), "r0", {})
