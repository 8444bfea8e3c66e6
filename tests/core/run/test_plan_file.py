"""tailflame.toml: what it says is what is measured, and what it misspells is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.run.plan_file import STEPS, Bound, PlanError, find_plan, read_plan

WHOLE = """
version = 1
[target]
bin = "engine"
package = "trading"
profile = "release-with-debug"
features = ["jemalloc"]
args = ["--seconds", "3", "--log", "{out}/orders.jsonl"]
directory = "run"
env = { RUST_LOG = "warn" }
test = ["cargo", "test", "--release"]
[measure]
warm_up_s = 0.5
repetitions = 7
steps = ["latency", "cpu"]
[latency]
log = "{out}/orders.jsonl"
fields = ["total_us"]
probe = ["engine::risk::check"]
accept_unwinding = true
[goal]
metric = "p99 total_us"
improve = 0.2
[bounds]
"p99 total_us" = { max = 10.0, unit = "us" }
"IPC" = { min = 1.5 }
[tools.heaptrack]
depth = 12
"""


def plan(folder: Path, text: str) -> Path:
    path = folder / "tailflame.toml"
    path.write_text(text)
    return path


def test_a_whole_plan_reads_as_it_is_written(tmp_path: Path) -> None:
    read = read_plan(plan(tmp_path, WHOLE))
    assert (read.bin, read.package, read.profile, read.features) == (
        "engine", "trading", "release-with-debug", ("jemalloc",),
    )  # fmt: skip
    assert read.args[-1] == "{out}/orders.jsonl" and read.directory == tmp_path / "run"
    assert dict(read.env) == {"RUST_LOG": "warn"}
    assert read.build is None and read.test == ("cargo", "test", "--release")
    assert (read.warm_up_s, read.repetitions, read.steps) == (0.5, 7, ("cpu", "latency")), "in the order of measuring"
    assert read.probe == ("engine::risk::check",) and read.accept_unwinding
    assert (read.goal, read.wanted) == ("p99 total_us", 0.2)
    assert read.bounds == (Bound(key="p99 total_us", high=10_000.0), Bound(key="IPC", low=1.5))
    assert dict(read.tools["heaptrack"]) == {"depth": 12}


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    read = read_plan(plan(tmp_path, "[target]\npath = 'build/engine'\n"))
    assert read.binary == tmp_path / "build" / "engine" and read.steps == STEPS
    assert (read.repetitions, read.wanted, read.test, read.fixed_work) == (5, 0.10, None, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[target", "is no TOML"),
        ("[target]\nbinn = 'x'", "there is no “target.binn”"),
        ("[goals]", "there is no “goals”"),
        ("[target]\nbin = 3", "“target.bin” must be a text"),
        ("[target]\nbin = 'x'\npath = 'y'", "“target.path” must be alone"),
        ("[target]\nargs = 'a b'", "“target.args” must be a list of texts"),
        ('[target]\nargs = ["a\\u0000"]', "“target.args” must be a list of texts"),
        ("[measure]\nsteps = ['cpu', 'magic']", "not “magic”"),
        ("[measure]\nrepetitions = 0", "a whole number from 1 to 100"),
        ("[measure]\nrepetitions = true", "a whole number"),
        ("[measure]\nwarm_up_s = -1", "from 0 to 3600"),
        ("[measure]\nwarm_up_s = nan", "from 0 to 3600"),
        ("[bounds]\n'p99 x' = 3", "“bounds.p99 x” must be a table"),
        ("[bounds]\n'p99 x' = { }", "must be a table with min or max"),
        ("[bounds]\n'p99 x' = { max = 1, unit = 'fortnights' }", "must be one of"),
        ("[bounds]\n'p99 x' = { min = 2, max = 1 }", "“bounds.p99 x.min” must be no more than max"),
        ("[bounds]\n'p99 total_us' = { max = 1, unit = 'MB' }", "“bounds.p99 total_us.unit” must be one of ns, us,"),
        ("[bounds]\n'p99.9' = { max = 1, unit = '%' }", "must be one of ns, us,"),
        ("[bounds]\n'leaked' = { max = 1, unit = 'ms' }", "“bounds.leaked.unit” must be one of B, kB, MB, GB."),
        ("[tools.heaptrack]\nx = [1]", "“tools.heaptrack.x” must be"),
        ("[tools.nosuchtool]", "there is no “tools.nosuchtool”"),
        ("[tools.massif]", "there is no “tools.massif”"),
        ("version = 2", "of a newer Tailflame"),
        ("version = 'one'", "“version” must be"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        read_plan(plan(tmp_path, text))
    assert says in caught.value.sentence and str(tmp_path) in caught.value.sentence and caught.value.advice


def test_a_bound_has_the_units_of_its_figure(tmp_path: Path) -> None:
    text = """[bounds]
"p99.9 x" = { min = 1, max = 1, unit = "µs" }
"p50" = { max = 3 }
"peak heap" = { max = 3, unit = "MB" }
"p2p::send" = { max = 30, unit = "%" }
"book/insert" = { max = 30, unit = "ms" }
"""
    assert read_plan(plan(tmp_path, text)).bounds == (
        Bound(key="p99.9 x", low=1000, high=1000),
        Bound(key="p50", high=3),
        Bound(key="peak heap", high=3e6),
        Bound(key="p2p::send", high=30),
        Bound(key="book/insert", high=3e7),
    )


def test_a_misspelt_key_is_told_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        read_plan(plan(tmp_path, "[measure]\nrepetition = 3"))
    assert caught.value.advice == "Did you mean “repetitions”?"
    with pytest.raises(PlanError) as caught:
        read_plan(plan(tmp_path, "[tools.perf-recrod]\nfrequency = 99"))
    assert caught.value.advice == "Did you mean “perf-record”?"


def test_the_plan_is_found_from_below(tmp_path: Path) -> None:
    made = plan(tmp_path, "")
    below = tmp_path / "src" / "bin"
    below.mkdir(parents=True)
    assert find_plan(below) == made
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(tmp_path / "nowhere.toml")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=80))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tailflame.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            read_plan(path)
        except PlanError as error:
            assert error.advice
