"""speedscope's own JSON (https://www.speedscope.app/file-format-schema.json): a sampled profile per thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from tailflame import __version__
from tailflame.model import NONE, StackProfile, Weight
from tailflame.model.stacks import Float64, Int64
from tailflame.report.output import opened
from tailflame.units import Unit

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_UNITS = {Unit.NANOSECONDS: "nanoseconds", Unit.BYTES: "bytes"}
_BATCH = 1000
_REMEMBERED = 32 * 1024 * 1024
"""Characters of stacks that may come again."""


def write(
    profile: StackProfile,
    target: Path | TextIO,
    *,
    name: str = "profile",
    event: int = 0,
    weight: Weight = Weight.SAMPLES,
) -> None:
    """Writes samples in their order where the profile has one, otherwise one per distinct stack.

    Frames keep their names, files and lines. StoreError where it cannot be written.
    """
    weights = profile.weights(event=event, weight=weight)
    unit = _UNITS.get(profile.unit(event=event, weight=weight), "none")
    with opened(target) as stream:
        stream.write(f'{{"$schema":{json.dumps(SCHEMA)},"exporter":"tailflame@{__version__}",')
        stream.write(f'"name":{json.dumps(name)},"shared":{{"frames":')
        json.dump(_frames(profile), stream, separators=(",", ":"))
        stream.write('},"profiles":[')
        for number, (thread, rows) in enumerate(_threads(profile, weights)):
            label = _thread_name(profile, thread) or name
            stack, share = _samples(profile, rows, weights)
            stream.write(f'{"," if number else ""}{{"type":"sampled","name":{json.dumps(_plain(label))},')
            total = float(share.sum())
            stream.write(f'"unit":"{unit}","startValue":0,"endValue":{_figure(total)},"samples":[')
            _write_list(stream, _stacks(profile, stack))
            stream.write('],"weights":[')
            _write_list(stream, map(_figure, share.tolist()))
            stream.write("]}")
        stream.write("]}\n")


def _frames(profile: StackProfile) -> list[dict[str, str | int]]:
    table = profile.frames
    frames: list[dict[str, str | int]] = []
    for index, name in enumerate(table.names()):
        frame: dict[str, str | int] = {"name": _plain(name)}
        if file := table.file_of(index):
            frame["file"] = _plain(file)
            if table.line[index] > 0:
                frame["line"] = int(table.line[index])
        frames.append(frame)
    return frames


def _threads(profile: StackProfile, weights: Float64) -> Iterator[tuple[int, Int64]]:
    """(thread, its rows) in order of weight, the busiest first: speedscope opens the first one."""
    counted = np.flatnonzero(weights > 0)
    threads = profile.samples.thread[counted]
    distinct, position = np.unique(threads, return_inverse=True)
    if not len(distinct):
        yield NONE, counted
        return
    totals = np.bincount(position, weights=weights[counted])
    for index in np.argsort(-totals, kind="stable"):
        yield int(distinct[index]), counted[position == index]


def _thread_name(profile: StackProfile, thread: int) -> str:
    if thread < 0:
        return ""
    known = profile.threads[thread]
    return f"{known.name} ({known.tid})" if known.tid >= 0 else known.name


def _samples(profile: StackProfile, rows: Int64, weights: Float64) -> tuple[Int64, Float64]:
    """Stack and weight of each sample to write: neighbours with equal stacks are one."""
    stack = profile.samples.stack[rows].astype(np.int64)
    share = weights[rows]
    if not profile.in_time_order:
        stack, position = np.unique(stack, return_inverse=True)
        return stack, np.bincount(position, weights=share, minlength=len(stack))
    if not len(stack):
        return stack, share
    edges = np.append(0, np.flatnonzero(stack[1:] != stack[:-1]) + 1)
    return stack[edges], np.add.reduceat(share, edges)


def _stacks(profile: StackProfile, stacks: Int64) -> Iterator[str]:
    frame, parent = profile.stacks.frame.tolist(), profile.stacks.parent.tolist()
    recent: dict[int, str] = {}
    held = 0
    for leaf in stacks.tolist():
        text = recent.get(leaf)
        if text is None:
            path: list[int] = []
            row = leaf
            while row >= 0:
                path.append(frame[row])
                row = parent[row]
            text = f"[{','.join(map(str, reversed(path)))}]"
            held += len(text)
            if held > _REMEMBERED:
                recent.clear()
                held = len(text)
            recent[leaf] = text
        yield text


def _write_list(stream: TextIO, items: Iterator[str]) -> None:
    for number, item in enumerate(items):
        if number:
            stream.write(",\n" if number % _BATCH == 0 else ",")
        stream.write(item)


def _plain(text: str) -> str:
    """Without halves of characters, which strict readers refuse."""
    return text.encode("utf-8", "backslashreplace").decode()


def _figure(weight: float) -> str:
    return str(int(weight)) if weight.is_integer() else repr(weight)
