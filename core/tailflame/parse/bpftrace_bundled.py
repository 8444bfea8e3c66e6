"""The recipes that ship with Tailflame."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import tailflame_resources
from tailflame.parse.bpftrace_recipe import Recipe, read

# The order of galleries: what a latency is made of first.
_ORDER = (
    "syscalls",
    "off-cpu",
    "run-queue",
    "switches",
    "latency",
    "calls",
    "page-faults",
    "malloc",
    "block-io",
    "tcp-retransmits",
    "cpu",
)


@cache
def recipes() -> tuple[Recipe, ...]:
    """All of them, in the order of lists."""
    folder = files(tailflame_resources) / "bpftrace"
    found = {
        one.name.removesuffix(".bt"): read(one.name.removesuffix(".bt"), one.read_text("utf-8"))
        for one in folder.iterdir()
        if one.name.endswith(".bt")
    }
    return tuple(found[name] for name in sorted(found, key=lambda name: (*_ORDER, name).index(name)))


def recipe_named(name: str) -> Recipe | None:
    return next((recipe for recipe in recipes() if recipe.name == name), None)
