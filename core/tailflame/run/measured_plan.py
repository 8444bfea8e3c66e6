"""The plan that a measurement was made by, as it was then."""

from __future__ import annotations

import shlex
from pathlib import Path

from tailflame.analyse.bounds import Limit
from tailflame.model.iteration import Iteration
from tailflame.run.plan_file import FILE_NAME, MeasurementPlan, PlanError, plan_of

_SHOWN = 160
"""Characters of a difference."""


def bounds_of(iteration: Iteration) -> tuple[Limit, ...]:
    """Those of the plan that it was measured by; none of a plan that is not known or is of a newer Tailflame."""
    plan = measured_plan(iteration)
    return plan.bounds if plan is not None else ()


def measured_plan(iteration: Iteration) -> MeasurementPlan | None:
    try:
        return plan_of(iteration.plan, Path(iteration.project) / FILE_NAME) if iteration.plan else None
    except PlanError:
        return None


def plan_differences(before: Iteration, after: Iteration) -> tuple[str, ...]:
    """What the two were run or built with, where that is not the same: such a change is one of what was measured."""
    plans = (measured_plan(before), measured_plan(after))
    if plans[0] is None or plans[1] is None:
        return ()
    known, now = (_facts_of(plan) for plan in plans if plan is not None)
    return tuple(
        f"Not the same {name}: {_quoted(known[name])} before, {_quoted(now[name])} after."
        for name in now
        if known[name] != now[name]
    )


def _facts_of(plan: MeasurementPlan) -> dict[str, str]:
    options = {f"{tool}.{name}": str(value) for tool, given in plan.tools.items() for name, value in given.items()}
    return {
        "arguments": shlex.join(plan.args),
        "environment": shlex.join(f"{name}={value}" for name, value in sorted(plan.env.items())),
        "working directory": str(plan.directory),
        "profile": plan.profile,
        "features": ", ".join(plan.features),
        "build": "as usual" if plan.build is None else shlex.join(plan.build),
        "warm-up": f"{plan.warm_up_s:g} s",
        "probed functions": ", ".join(plan.probe),
        "options of tools": ", ".join(f"{name} = {value}" for name, value in sorted(options.items())),
    }


def _quoted(text: str) -> str:
    return f"“{text[:_SHOWN]}{'…' * (len(text) > _SHOWN)}”" if text else "none"
