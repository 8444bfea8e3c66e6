"""Makes hardware.jsonl: see NOTE."""

import json
import random

random.seed(20261125)
MULTIPLEXED = ("L1-dcache-loads", "L1-dcache-load-misses", "LLC-loads", "LLC-load-misses", "dTLB-loads",
               "dTLB-load-misses", "iTLB-load-misses")  # fmt: skip


def counts(bad: bool) -> dict[str, float]:
    def near(value: float) -> float:
        return round(value * random.uniform(0.96, 1.04))

    cycles = near(620e6)
    instructions = near(cycles * (0.6 if bad else 2.4))
    loads = near(instructions * 0.28)
    l1_misses = near(loads * (0.17 if bad else 0.012))
    references = near(l1_misses * 0.8)
    branches = near(instructions * 0.17)
    return {
        "cycles": cycles,
        "instructions": instructions,
        "cache-references": references,
        "cache-misses": near(references * (0.41 if bad else 0.031)),
        "branches": branches,
        "branch-misses": near(branches * (0.062 if bad else 0.009)),
        "stalled-cycles-frontend": near(cycles * (0.22 if bad else 0.07)),
        "L1-dcache-loads": loads,
        "L1-dcache-load-misses": l1_misses,
        "LLC-loads": near(references * 0.6),
        "LLC-load-misses": near(references * (0.25 if bad else 0.01)),
        "dTLB-loads": loads,
        "dTLB-load-misses": near(loads * (0.02 if bad else 0.0004)),
        "iTLB-load-misses": near(900 if bad else 700),
        "task-clock": random.uniform(194, 199),
        "page-faults": float(random.choice((0, 0, 0, 1, 12))),
        "context-switches": float(random.randrange(3, 40)),
        "cpu-migrations": float(random.choice((0, 0, 0, 1))),
    }


with open("hardware.jsonl", "w") as out:
    for interval in range(30):
        values: dict[str, float | str] = dict(counts(10 <= interval < 20))
        for event in ("stalled-cycles-backend", "iTLB-loads"):
            values[event] = "<not supported>"
        if interval in (5, 6):
            values |= {"LLC-loads": "<not counted>", "LLC-load-misses": "<not counted>"}
        for event, value in values.items():
            dead = isinstance(value, str)
            share = random.uniform(42.7, 43.3) if event in MULTIPLEXED and not dead else 0.0 if dead else 100.0
            if value == "<not supported>":
                share = 100.0  # as perf 6.1 prints it
            print(
                f'{{"interval" : {(interval + 1) * 0.2002:.9f}, "counter-value" : '
                f"{json.dumps(value if dead else f'{value:.6f}')}, "
                f'"unit" : "{"msec" if event == "task-clock" else ""}", "event" : "{event}", '
                f'"event-runtime" : {0 if dead else round(197e6 * share / 100)}, "pcnt-running" : {share:.2f}, '
                f'"metric-value" : 0.000000, "metric-unit" : ""}}',
                file=out,
            )
