"""A continuous profile as the live page's form has it."""

from __future__ import annotations

from pathlib import Path

from tailflame.host.system import probe_host
from tailflame.model import Caution
from tailflame.run.continuous import ContinuousOptions
from tailflame.run.continuous_wish import cut_short, typed_options
from tailflame_gui.live_model import SlicesDraft


def options_of(draft: SlicesDraft) -> ContinuousOptions:
    """ValueError: what is wrong with the words. The machine has been looked at when the window was made."""
    return typed_options(
        probe_host(),
        slice_s=draft.slice_s,
        frequency=draft.frequency,
        cpu_percent=draft.cpu_percent,
        disk=draft.disk,
        call_graph="dwarf" if draft.dwarf else "fp",
    )


def problem_of(draft: SlicesDraft | None) -> str:
    """What is wrong with the words; "" for nothing."""
    if draft is None:
        return ""
    try:
        options_of(draft)
    except ValueError as problem:
        return f"{problem}."
    return ""


def stacks_caution(draft: SlicesDraft | None, image: Path | None, name: str) -> tuple[Caution, ...]:
    """In a thread: whether the program's stacks will be cut short."""
    if draft is None or draft.dwarf or image is None:
        return ()
    told = cut_short(name, image)
    fix = "Build it with -C force-frame-pointers=yes, or take stacks by DWARF, which cost more."
    return (Caution(told, fix),) if told else ()
