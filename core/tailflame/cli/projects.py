"""Which project a command is about."""

from __future__ import annotations

from pathlib import Path

from tailflame.run.plan_file import find_plan


def project_here() -> str:
    """The project that one stands in, "" in none: the folder of its plan."""
    plan = find_plan(Path.cwd())
    return str(plan.parent) if plan is not None else ""
