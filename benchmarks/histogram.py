"""How fast latencies are recorded and percentiles read, beside the hdrhistogram package: in one run on one machine.

    histogram.py [--rounds N]

Prints the best of N rounds, and how many times as fast that is as the package. What is promised: 1,000 values at a
time at 10 million a second or more, six percentiles in less than 0.1 ms.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable

import numpy as np
from hdrh.histogram import HdrHistogram

from tailflame.model import Histogram, HistogramRecorder, merge_all
from tailflame.model.histogram import PERCENTILES
from tailflame.parse.hdr_payload import decode, encode

HIGHEST = 3_600_000_000_000


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=20)
    rounds = options.parse_args().rounds
    values = np.exp(9 + 1.2 * np.random.default_rng(1).standard_normal(100_000)).astype(np.int64)
    print(f"{'':34} {'here':>12} {'hdrhistogram':>14} {'ratio':>8}")
    for digits in (3, 2):
        recorder, known = HistogramRecorder(digits=digits), HdrHistogram(1, HIGHEST, digits)
        for size in (100, 1_000, 20_000):
            batch = values[:size]
            plain = batch.tolist()
            rate(
                f"record {size:,} at a time, {digits} digits",
                best(lambda batch=batch, recorder=recorder: recorder.record(batch), rounds) / size,
                best(lambda plain=plain, known=known: [known.record_value(v) for v in plain], rounds) / size,
            )
        # The slowest value decides the length of the counts: an hour, as in the package's range.
        whole = Histogram.of(np.append(values, HIGHEST), digits=digits)
        package = HdrHistogram.decode(encode(whole))
        single = HdrHistogram.decode(encode(Histogram.of([HIGHEST], digits=digits)))
        compare(
            f"six percentiles, {digits} digits",
            best(whole.percentiles, rounds),
            best(lambda package=package: package.get_percentile_to_value_dict(PERCENTILES), rounds),
        )
        compare(
            f"mean, {digits} digits",
            best(lambda whole=whole: whole.mean, rounds),
            best(package.get_mean_value, rounds),
        )
        compare(
            f"merge two, {digits} digits",
            best(lambda whole=whole: whole.merged(whole), rounds),
            best(lambda package=package, single=single: package.add(single), rounds),
        )
        text = encode(whole)
        compare(
            f"decode, {digits} digits",
            best(lambda text=text: decode(text), rounds),
            best(lambda text=text: HdrHistogram.decode(text), rounds),
        )
        compare(
            f"encode, {digits} digits",
            best(lambda whole=whole: encode(whole), rounds),
            best(package.encode, rounds),
        )
    parts = [Histogram.of(values[n * 1000 : n * 1000 + 1000]) for n in range(100)]
    print(f"{'merge 100 intervals':34} {best(lambda: merge_all(parts), rounds) * 1e6:>9.1f} µs")
    return 0


def best(call: Callable[[], object], rounds: int) -> float:
    """Seconds of one call, the shortest of `rounds`."""
    number = max(int(0.005 / max(timeit.timeit(call, number=1), 1e-7)), 1)
    return min(timeit.repeat(call, number=number, repeat=rounds)) / number


def rate(title: str, here: float, package: float) -> None:
    print(f"{title:34} {1e-6 / here:>8.1f} M/s {1e-6 / package:>10.2f} M/s {package / here:>7.0f}x")


def compare(title: str, here: float, package: float) -> None:
    print(f"{title:34} {here * 1e6:>9.1f} µs {package * 1e6:>11.1f} µs {package / here:>7.1f}x")


if __name__ == "__main__":
    raise SystemExit(main())
