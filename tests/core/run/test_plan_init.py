"""What `tailflame init` writes is a plan, also with everything in it that is only proposed."""

from __future__ import annotations

import re
from pathlib import Path

from tailflame.run.measure_steps import silent_steps
from tailflame.run.plan_file import STEPS, read_plan
from tailflame.run.plan_init import plan_text


def test_the_proposed_plan_measures_everything_that_it_can(tmp_path: Path) -> None:
    path = tmp_path / "tailflame.toml"
    path.write_text(plan_text("my-engine", programs=["my-engine", "tool"], profile="release", benches=True))
    plan = read_plan(path)
    assert plan.bin == "my-engine" and plan.repetitions == 5
    assert not plan.probe and not plan.hlog and not plan.accept_unwinding
    assert set(STEPS) - set(plan.steps) == {"latency", "probes"}, "nothing tells latencies, and no function is named"
    assert not silent_steps(plan)
    (comment,) = (line for line in plan.text.splitlines() if line.startswith('# Add "latency" '))
    assert '"probes"' in comment


def test_what_is_commented_out_is_right_as_well(tmp_path: Path) -> None:
    text = plan_text("my-engine", programs=["my-engine"], profile="release", benches=False)
    path = tmp_path / "tailflame.toml"
    path.write_text(re.sub(r'^# (?=[\w"-]+ = |"|\[)', "", text, flags=re.MULTILINE))
    plan = read_plan(path)
    assert plan.probe == ("my_engine::some_function",) and plan.accept_unwinding
    assert plan.hlog and plan.log and plan.goal == "p99 total_us" and plan.bounds
    assert plan.tools["perf-record"]["frequency"] == 1999
    assert "benches" not in plan.steps
