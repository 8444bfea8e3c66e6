"""`tailflame init`: a plan for a cargo project, by looking at it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tailflame.errors import TargetError
from tailflame.host.cargo import project_root, read_project

_PROFILE = "release-with-debug"


def propose(folder: Path) -> tuple[Path, str]:
    """Where the plan of the project in `folder` belongs, and its text.

    TargetError where there is no cargo project, or none with a program; ToolMissing and ToolFailed as cargo says.
    """
    root = project_root(folder)
    if root is None:
        raise TargetError(f"There is no cargo project in {folder}.", advice="Go to the folder with its Cargo.toml.")
    project = read_project(root)
    programs = [target.name for target in project.targets if target.kind == "bin"]
    if not programs:
        raise TargetError(
            f"The project in {root} has no program.", advice="A plan measures a program: name it with “target.path”."
        )
    benches = [target.name for target in project.targets if target.kind == "bench"]
    manifest = (root / "Cargo.toml").read_text(encoding="utf-8", errors="replace")
    profile = _PROFILE if f"[profile.{_PROFILE}]" in manifest else "release"
    return root / "tailflame.toml", plan_text(programs[0], programs=programs, profile=profile, benches=bool(benches))


def plan_text(program: str, *, programs: Sequence[str], profile: str, benches: bool) -> str:
    """A whole plan with its comments."""
    others = f"   # or {', '.join(programs[1:])}" if len(programs) > 1 else ""
    debug = "" if profile != "release" else '   # with debug = "line-tables-only" in Cargo.toml, to have source lines'
    crate = program.replace("-", "_")
    # Of a project as it is, nothing is known that tells latencies, and no function to time.
    steps = ["cpu", "counters", "caches", "heap", "syscalls", *(["benches"] if benches else [])]
    return f"""\
# What Tailflame measures of this project: `tailflame run`. Keep it in the repository.
version = 1

[target]
bin = {json.dumps(program)}{others}
profile = {json.dumps(profile)}{debug}
# {{out}} in an argument is the folder of the run's own files. The program has to end by itself.
args = []
directory = "."
env = {{}}
# The tests must pass before anything is measured; [] for none.
test = ["cargo", "test", "--release"]
# true: each run does the same work, however long it takes. false: it ends by the clock, so that neither counts nor
# miss rates are judged.
fixed_work = false
# Exit codes of the program that are no failure.
# exit_codes = [0]

[measure]
# How often each step runs. A verdict needs to know how much runs differ: 5 or more.
repetitions = 5
# Seconds at the beginning of each run whose latencies do not count.
warm_up_s = 1.0
# Add "latency" when a log is named below that tells latencies, and "probes" when functions are named to time.
steps = {json.dumps(steps)}

[latency]
# What tells the latencies, for the step "latency": an interval log of HdrHistograms, or a log whose lines have fields
# such as total_us.
# hlog = "{{out}}/latency.hlog"
# log = "{{out}}/orders.jsonl"
# fields = ["total_us"]
# Functions to time in runs of their own, for the step "probes", by their names (bpftrace, as root). Where a panic
# unwinds, one that passes through a probed function ends the program: panic = "abort" in the profile, or accept it.
# probe = ["{crate}::some_function"]
# accept_unwinding = true

[goal]
# The figure that the change is made for, and the least improvement that is kept. Without one it is the first p99, so
# name one where no latencies are measured.
# metric = "p99 total_us"
improve = 0.10

[bounds]
# "p99 total_us" = {{ max = 10.0, unit = "us" }}

# Options of a step's tool, by their names: `tailflame tools heaptrack` lists them.
# [tools.perf-record]
# frequency = 1999
# [tools.cargo-bench]  # benches run once, unless told otherwise: a verdict on one needs to know how much runs differ
# runs = 5
"""
