"""The command lines of cargo bench, and what its words mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailflame.tools import BenchOptions, CargoBench, Target, tool_named

TOOL = CargoBench()
PROJECT, HOME, OUT = Path("/src/engine"), Path("/src/engine/target/criterion"), Path("/profiles/one two")
TARGET = Target(binary=Path("/src/engine/target/release/deps/order_path"))


def options(**wishes: str | float) -> BenchOptions:
    return BenchOptions(project=PROJECT, home=HOME, **wishes)  # type: ignore[arg-type]


def test_what_criterion_leaves_lands_in_the_session() -> None:
    plan = TOOL.plan(TARGET, options(package="engine", bench="order_path", filter="risk"), OUT)
    assert plan.argv == ("cargo", "bench", "--package", "engine", "--bench", "order_path", "--", "risk")
    assert plan.env["CRITERION_HOME"] == "/profiles/one two/criterion"
    assert plan.result == OUT / "criterion" and plan.cwd == PROJECT and plan.builds_first and plan.after == ()


@pytest.mark.parametrize(("wish", "words"), [("save_baseline", "--save-baseline"), ("baseline", "--baseline")])
def test_saved_baselines_are_the_projects_own(wish: str, words: str) -> None:
    plan = TOOL.plan(TARGET, options(**{wish: "main"}), OUT)
    assert plan.argv[-2:] == (words, "main") and "CRITERION_HOME" not in plan.env
    assert plan.after[0].argv == ("cp", "-R", "--", str(HOME), "/profiles/one two/criterion")


def test_a_profile_is_a_flame_graph() -> None:
    plan = TOOL.plan(TARGET, options(profile_time_s=5.0, filter="risk"), OUT)
    assert plan.argv[-4:] == ("--", "--profile-time", "5", "risk")
    assert plan.result == OUT / "flamegraph.svg" and plan.leaves


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("error: no bench target named `x`", "has no such benchmark"),
        ("error: could not compile `engine` (bench) due to 1 previous error", "do not build"),
        ("thread 'main' panicked: Baseline 'main' must exist before comparison is allowed", "no baseline of that name"),
    ],
)
def test_its_words_are_explained(words: str, says: str) -> None:
    error = TOOL.explain(words, TOOL.plan(TARGET, options(), OUT))
    assert error is not None and says in error.sentence and error.advice
    assert TOOL.explain("all well", TOOL.plan(TARGET, options(), OUT)) is None


def test_it_is_known_by_its_name() -> None:
    assert isinstance(tool_named("cargo-bench"), CargoBench)
