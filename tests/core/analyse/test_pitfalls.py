"""What spoils a measurement is told, and what does not is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tailflame.analyse.pitfalls import of_machine, pitfalls
from tailflame.model import HistogramSeries, Meta, Recording
from tailflame.model.histogram import HistogramRecorder
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.model.live import Cost
from tailflame.model.live_record import LiveRecord

CALM = {"governor": "performance", "turbo": "off", "smt": "off", "load": "0.10", "processors": "8", "steal": "0.0001"}


def iteration(repetitions: int = 5, **changes: object) -> Iteration:
    steps = tuple(Step(name="latency", repetition=n + 1, state=StepState.DONE) for n in range(repetitions))
    made = Iteration(
        id="1", number=1, project="/src", binary="/src/run", started_at=datetime(2026, 3, 4, tzinfo=UTC),
        environment=CALM, steps=steps,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def run(values: list[int] | np.ndarray, *, length_s: float = 20.0, tag: str = "total_us") -> Recording:
    recorder = HistogramRecorder()
    recorder.record(np.array(values, dtype=np.int64))
    series = HistogramSeries(tags=(tag,), start_s=(0.0,), length_s=(length_s,), histograms=(recorder.take(),))
    return Recording("log", "latency-log", "x.log", (series,))


SOUND = run(np.arange(5_000, 25_000))


def test_a_calm_machine_and_enough_values_are_told_nothing() -> None:
    assert pitfalls(iteration(), [SOUND]) == ()


@pytest.mark.parametrize(
    ("fact", "value", "says"),
    [
        ("governor", "powersave", "changes its frequency"),
        ("turbo", "on", "Turbo is on"),
        ("smt", "on", "share each core"),
        ("load", "7.2", "busy when it began: load 7.2 on 8"),
        ("steal", "0.05", "kept 5.0% of the processors' time"),
        ("virtual", "yes", "virtual machine"),
    ],
)
def test_what_the_machine_does_is_told_with_what_to_change(fact: str, value: str, says: str) -> None:
    (caution,) = of_machine({**CALM, fact: value})
    assert says in caution.text and caution.fix
    assert of_machine({}) == (), "and what nobody knows is not"


def test_few_repetitions_are_told() -> None:
    assert "Each step ran 2 times" in pitfalls(iteration(2), [SOUND])[0].text


@pytest.mark.parametrize(
    ("recording", "says"),
    [
        (run(np.arange(100, 600)), "has 500 values a run"),
        (run(np.arange(5_000, 25_000), length_s=2.0), "lasts 2.0 s: the method asks for 10.0 s"),
        (run([100] * 3000 + [200] * 3000), "takes only 2 different values"),
        (run([*range(5_000, 25_000), 900_000_000]), "coordinated omission"),
    ],
)
def test_what_the_samples_show_is_told(recording: Recording, says: str) -> None:
    told = pitfalls(iteration(), [recording])
    assert any(says in caution.text and caution.fix for caution in told), told


def test_a_profile_that_slows_the_program_down_is_told() -> None:
    from helpers.stacks import profile

    profiled = Recording("perf", "perf-data", "perf.data", (profile("main 3"),), meta=Meta(duration_s=2.4))
    plain = replace(SOUND, meta=Meta(duration_s=2.0))
    told = pitfalls(iteration(fixed_work=True), [plain, profiled])
    assert any("20.0% slower" in caution.text for caution in told)
    assert pitfalls(iteration(), [plain, profiled]) == (), "a run that ends by the clock tells nothing of it"


def test_a_dear_probe_is_told() -> None:
    def probed(share: float) -> Recording:
        cost = Cost(series="match_order", floor_ns=900.0, per_call_ns=2000.0, calls_per_s=9000.0, share=share)
        record = LiveRecord(epoch_s=0.0, began_s=0.0, ended_s=20.0, pid=1, launched=True, costs=(cost,))
        return replace(SOUND, results=(*SOUND.results, record))

    (caution,) = pitfalls(iteration(), [probed(0.02), probed(0.2), probed(0.1)])
    assert "The probe on match_order takes 20.0%" in caution.text and caution.fix
    assert pitfalls(iteration(), [probed(0.02), probed(float("nan"))]) == ()
