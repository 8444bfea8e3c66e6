"""Costs of source lines read back exactly, and a damaged file is a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.stack_counts import DATA
from tailflame.errors import StoreError
from tailflame.model import CostTable, Recording
from tailflame.model.stacks import readonly
from tailflame.parse import load
from tailflame.store.session import load_recording, save_recording

HOSTILE = DATA / "cachegrind" / "3.19.0" / "matrix.out.gz"


def held(recording: Recording) -> CostTable:
    assert recording.costs is not None
    return recording.costs


@pytest.fixture
def costs() -> CostTable:
    return held(load(HOSTILE))


def kept(table: CostTable, folder: Path) -> CostTable:
    folder.mkdir(exist_ok=True)
    save_recording(folder, Recording("cachegrind", "cachegrind", "x", (table,)))
    return held(load_recording(folder))


def test_they_read_back_exactly(costs: CostTable, tmp_path: Path) -> None:
    again = kept(replace(costs, notes=("a", "ü"), real=True), tmp_path)
    for name in ("module", "file", "function", "line", "costs", "totals"):
        assert np.array_equal(getattr(again, name), getattr(costs, name)), name
        assert getattr(again, name).dtype == getattr(costs, name).dtype
    assert (again.events, again.descriptions, again.strings) == (costs.events, costs.descriptions, costs.strings)
    assert again.notes == ("a", "ü") and again.real
    assert not again.costs.flags.writeable


def test_no_rows_read_back(costs: CostTable, tmp_path: Path) -> None:
    none = readonly([], np.int32)
    empty = replace(costs, module=none, file=none, function=none, line=none,
                    costs=readonly(np.zeros((0, len(costs.events))), np.int64))  # fmt: skip
    assert kept(empty, tmp_path).costs.shape == (0, 13)


def test_what_does_not_fit_together_is_refused(costs: CostTable, tmp_path: Path) -> None:
    for number, damaged in enumerate(
        (
            replace(costs, strings=costs.strings[:2]),
            replace(costs, events=costs.events[:-1]),
            replace(costs, descriptions=()),
            replace(costs, line=readonly(np.full(len(costs), -7), np.int32)),
            replace(costs, line=costs.line[:3]),
            replace(costs, events=(costs.events[0],) * 13),
        )
    ):
        with pytest.raises(StoreError, match="damaged"):
            kept(damaged, tmp_path / str(number))
