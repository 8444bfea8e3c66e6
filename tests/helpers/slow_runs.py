"""A live run as it is kept: fast calls that match, slow ones that recheck."""

from __future__ import annotations

from tailflame.model import Event, Recording, StackBuilder, Thread
from tailflame.model.live_record import LiveRecord
from tailflame.model.slow_calls import SlowCalls

SECOND = 10**9


def slow_run(*, slow: bool = True, profile: bool = True, spans: int = 50) -> Recording:
    """2,500 samples in fast calls of engine::process_order and 500 in 50 slow ones."""
    builder = StackBuilder(events=[Event("cpu-clock")])
    thread = builder.thread(Thread("engine", 1, 7))
    for i in range(3000):
        late = i >= 2500
        names = ("main", "engine::process_order", "recheck" if late else "match" if i % 2 else "book")
        leaf = builder.stack([builder.frame(name) for name in names])
        builder.sample(leaf, time_ns=(5 if late else 2) * SECOND + i * 1000, thread=thread)
    calls = [(7, 5 * SECOND + i * 10_000, 5 * SECOND + i * 10_000 + 9_999) for i in range(250, 250 + spans)]
    kept = SlowCalls.of("engine::process_order", 100_000, 1.0, 9.0, calls)
    live = LiveRecord(0.0, 1.0, 10.0, slow=(kept,) if slow else ())
    return Recording("live", "live", "live.jsonl", ((builder.build(),) if profile else ()) + (live,))
