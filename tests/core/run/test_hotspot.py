"""Everything that a measurement tells of one function; what does not tell it says which step would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from helpers.recordings import recording
from helpers.stack_counts import DATA
from tailflame.model import Recording
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.parse import load
from tailflame.run.hotspot import hotspot_facts
from tailflame.store import Library
from tailflame.store.iterations import Iterations

CHECK = "trading_system::risk::check_exposure"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "profiles")


def measured(library: Library, *results: tuple[str, Recording]) -> Iteration:
    iterations = Iterations(library.root)
    made = iterations.create(project=Path("/src/engine"), binary=Path("/src/engine/engine"))
    steps: list[Step] = []
    for name, result in results:
        session = library.new_session(tool=name, binary="/src/engine/engine")
        session.complete(result)
        repetition = 1 + sum(step.name == name for step in steps)
        steps.append(Step(name=name, repetition=repetition, state=StepState.DONE, session=session.path.name))
    made = replace(made, steps=tuple(steps))
    iterations.save(made)
    return made


def cpu(share: int) -> tuple[str, Recording]:
    return "cpu", recording(f"main;{CHECK} {share}\nmain;other {100 - share}")


def test_every_step_tells_its_part(library: Library) -> None:
    one = measured(
        library,
        cpu(30),
        cpu(40),
        ("caches", load(DATA / "cachegrind" / "3.19.0" / "trading-hostile.out.gz")),
        ("heap", load(DATA / "heaptrack" / "1.4.0" / "trading.zst")),
        ("syscalls", load(DATA / "strace" / "6.1" / "stacks.log.gz")),
    )
    facts = hotspot_facts(library, one, CHECK, history=[one])
    assert [shares.self_share for shares in facts.shares] == [0.3, 0.4]
    assert facts.cpu is not None and facts.sessions["cpu"] == one.steps[0].session, "the first repetition"
    assert facts.caches is not None and len(facts.caches.lines)
    assert facts.heap is None and "No memory was asked for" in facts.missing["heap"]
    assert facts.calls is None and "made a system call" in facts.missing["syscalls"]
    main = hotspot_facts(library, one, "main", history=[one])
    assert main.heap is not None and main.heap.allocations > 1000 and main.calls is not None
    assert "heap" not in main.missing and "syscalls" not in main.missing


def test_its_history_is_of_the_measurements_before(library: Library) -> None:
    every = [measured(library, cpu(share)) for share in (10, 20, 30)]
    bare = measured(library)
    facts = hotspot_facts(library, every[1], CHECK, history=[bare, *reversed(every)])
    assert [turn.iteration.id for turn in facts.turns] == [every[0].id, every[1].id]
    assert facts.shares[0].self_share == pytest.approx(0.2)
    told: list[float] = []
    hotspot_facts(library, every[2], CHECK, history=[*reversed(every)], progress=told.append)
    assert told[-1] == 1.0 and told == sorted(told)


def test_what_was_not_measured_says_which_step_would_tell(library: Library) -> None:
    one = measured(library, cpu(30))
    failed = Step(name="heap", repetition=1, state=StepState.FAILED, problem="heaptrack is missing.")
    one = replace(one, steps=(*one.steps, failed))
    facts = hotspot_facts(library, one, CHECK)
    assert "“caches”" in facts.missing["caches"] and "“syscalls”" in facts.missing["syscalls"]
    assert facts.missing["heap"] == "heaptrack is missing."
    library.delete(one.steps[0].session)
    gone = hotspot_facts(library, one, CHECK)
    assert gone.cpu is None and gone.turns == () and "not in the library any more" in gone.missing["cpu"]


def test_system_calls_without_stacks_are_nobodys(library: Library) -> None:
    one = measured(library, ("syscalls", load(DATA / "strace" / "6.1" / "trading.log.gz")))
    facts = hotspot_facts(library, one, CHECK)
    assert facts.calls is None and "stacks = true" in facts.missing["syscalls"]
