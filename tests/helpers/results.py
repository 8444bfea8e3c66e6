"""Recordings for the views of a result: small, with every kind of thing a view shows."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from helpers.stacks import profile
from tailflame.model import Caution, Event, FrameKind, Machine, Meta, Recording, StackBuilder, StackProfile, Thread
from tailflame.units import Unit

ENGINE = "/opt/engine/bin/engine"
_MAIN = f"main@{ENGINE}!src/main.rs:10"
_RUN = f"{_MAIN};engine::run@{ENGINE}!src/run.rs:12"
_RISK = f"engine::risk::check@{ENGINE}!src/risk.rs:7"
STACKS = f"""
{_RUN};engine::book::OrderBook::match_order@{ENGINE}!src/book.rs:40 600
{_RUN};{_RISK} 250
{_RUN} 50
{_MAIN};{_RISK} 80
{_MAIN};sys_write_[k]@[kernel.kallsyms] 220
"""
MATCH = "engine::book::OrderBook::match_order"
RISK = "engine::risk::check"
RUN = "engine::run"


def recording(text: str = STACKS, **changes: object) -> Recording:
    """A recording by perf of `text`, with everything known of its run."""
    values: dict[str, object] = {
        "tool": "perf",
        "format": "perf-script",
        "source": "/home/user/profiles/perf.data",
        "results": (profile(text),),
        "meta": Meta(
            command=(ENGINE, "--mode", "benchmark"),
            tool_version="6.1.0",
            started_at=datetime(2026, 3, 4, 12, 4, 0),
            duration_s=12.3,
            rate_asked_hz=997,
            rate_granted_hz=997,
            lost=3,
            machine=Machine("lab-7", "6.1.0-18-amd64", "x86_64", "AMD EPYC 7B13", 4),
        ),
        "warnings": (Caution("3 samples were lost.", "Raise the buffer with -m."),),
    }
    values.update(changes)
    return Recording(**values)  # type: ignore[arg-type]


def two_events() -> StackProfile:
    """Two threads, two events with periods, one inlined frame: where views have something to choose."""
    builder = StackBuilder(
        events=[Event("cycles", Unit.EVENTS, has_period=True), Event("cache-misses", Unit.EVENTS, has_period=True)]
    )
    threads = [builder.thread(Thread(f"engine-{i}", 100, 100 + i)) for i in range(2)]
    main = builder.frame("main", module=ENGINE)
    hot = builder.frame("hot", module=ENGINE, file="src/hot.rs", line=3)
    mixed = builder.frame("mix", module=ENGINE, file="src/hot.rs", line=9, kind=FrameKind.INLINED)
    cold = builder.frame("cold", module=ENGINE)
    for at, (frames, period, thread, event) in enumerate(
        (
            ((main, hot), 3_000_000.0, 0, 0),
            ((main, hot, mixed), 2_000_000.0, 0, 0),
            ((main, cold), 1_000_000.0, 1, 0),
            ((main, cold), 40_000.0, 1, 1),
            ((main, hot), 10_000.0, 0, 1),
        )
    ):
        builder.sample(
            builder.stack(frames), count=400.0, period=period, time_ns=at, thread=threads[thread], event=event
        )
    return builder.build()


def show(qtbot: QtBot, widget: QWidget, width: int = 900, height: int = 600) -> None:
    """Shows `widget` as it stands in the window."""
    qtbot.addWidget(widget)
    widget.resize(width, height)
    with qtbot.waitActive(widget):
        widget.show()
