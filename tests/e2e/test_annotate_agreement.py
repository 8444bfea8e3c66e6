"""Our costs of instructions against perf annotate's, on a recording of the demo made here and now."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from helpers import perf_annotate
from helpers.environment import refuse
from tailflame.analyse.annotate import code_places, instruction_costs, place_tree
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.tree import TreeOptions
from tailflame.model import Recording, Weight
from tailflame.parse import load
from tailflame.run.machine_code import read_code

pytestmark = [pytest.mark.beside, pytest.mark.tool("perf"), pytest.mark.tool("objdump"), pytest.mark.timeout(300)]
COMPARED = 6


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, demo_binary: Path) -> tuple[Path, Recording]:
    data = tmp_path_factory.mktemp("annotate") / "perf.data"
    argv = ["perf", "record", "-q", "-F", "997", "-g", "-o", str(data), str(demo_binary), "--seconds", "3"]
    done = subprocess.run(argv, check=False, timeout=120, capture_output=True, text=True, cwd=data.parent)
    if "perf_event_paranoid" in done.stderr or "No permission to enable" in done.stderr:
        refuse("this system lets nobody here record with perf")
    assert done.returncode == 0, done.stderr
    return data, load(data)


def perfs(data: Path, function: str, *switches: str) -> dict[int, float]:
    """perf's own figures; empty where perf cannot tell which function is meant."""
    argv = ["perf", "annotate", "-f", "-i", str(data), "--stdio", "--stdio-color", "never", *switches, "-s", function]
    done = subprocess.run(
        argv,
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", "PAGER": "cat"},
    )
    blocks = perf_annotate.figures(done.stdout)
    return blocks[0] if len(blocks) == 1 else {}


@pytest.mark.parametrize("weight", [Weight.SAMPLES, Weight.PERIOD])
def test_every_instruction_of_the_hottest_functions_costs_what_perf_says(
    recording: tuple[Path, Recording], weight: Weight
) -> None:
    data, recorded = recording
    profile = recorded.profile
    assert profile is not None
    tree = place_tree(profile, TreeOptions(weight=weight))
    table = hotspots(profile, weight=weight)
    compared = []
    for row in table.hottest(12):
        function = table.key[row]
        if not function.startswith("trading_system::") or len(compared) == COMPARED:
            continue
        kind = "local-period" if weight is Weight.PERIOD else "local-hits"
        theirs = perfs(data, function, "--percent-type", kind)
        samples = perfs(data, function, "--show-nr-samples")
        if not theirs or not samples:
            continue
        place = next(p for p in code_places(profile, tree, function) if p.name == function)
        listing = read_code(place, recorded.meta).disassembly
        costs = instruction_costs(
            profile, tree, module=place.module, start=listing.symbol.start, stop=listing.symbol.stop
        )
        weights, counts = costs.on(listing.address, listing.stop)
        addresses = listing.address.tolist()
        assert dict(zip(addresses, counts.tolist(), strict=True)) == samples, function
        ours = dict(zip(addresses, (100 * weights / costs.total).tolist(), strict=True))
        assert ours == pytest.approx(theirs, abs=0.1), function
        # Per function: all that perf report counts for it lies at its instructions.
        assert costs.total == float(table.self_weight[row])
        assert np.isclose(weights.sum(), costs.total)
        compared.append(function)
    assert len(compared) >= 3, "perf annotated too few of the hottest functions"
