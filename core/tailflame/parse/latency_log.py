"""A log that has been written: the fields of its lines that are latencies, as histograms.

JSON lines and text as live/log_fields.py follows them while they are written; here the whole file is one interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, HistogramSeries, Recording
from tailflame.model.histogram import HistogramRecorder
from tailflame.parse.log_line import MOST_NS, LineReader, numeric_fields, to_ns, unit_of
from tailflame.parse.source import Progress, Source
from tailflame.units import count

_LOOKED_AT = 200
_MOST_FIELDS = 48


def read_latency_log(path: Path, *, fields: Sequence[str] = (), progress: Progress | None = None) -> Recording:
    """fields: those to take; empty takes every one whose name or value tells a unit of time.

    ParseError where the file cannot be read, or has none of them.
    """
    source = Source(path, progress=progress)
    names, units = tuple(fields), {name: unit_of(name) or "ns" for name in fields}
    reader: LineReader | None = LineReader(names) if names else None
    recorders = {name: HistogramRecorder() for name in names}
    refused = 0
    for block in source.line_blocks():
        if reader is None:
            for line in block[:_LOOKED_AT]:
                for name, (_value, unit) in numeric_fields(line).items():
                    if unit and len(recorders) < _MOST_FIELDS:
                        recorders.setdefault(name, HistogramRecorder())
                        units.setdefault(name, unit_of(name) or "ns")
            names = tuple(recorders)
            reader = LineReader(names)
        columns = list(zip(*reader.rows(block), strict=True))
        for name, cells in zip(names, columns, strict=False):
            values = np.rint(to_ns([cell for cell in cells if cell is not None], units[name]))
            sound = values[(values >= 0) & (values <= MOST_NS)]
            refused += len(values) - len(sound)
            recorders[name].record(sound.astype(np.int64))
    histograms = {name: recorder.take() for name, recorder in recorders.items()}
    held = {name: histogram for name, histogram in histograms.items() if histogram.total}
    if not held:
        wanted = f" called {', '.join(fields)}" if fields else " whose name or value tells a unit of time"
        raise ParseError(
            f"{source.name} has no field{wanted}.",
            source=source.name,
            advice="Name the fields that are latencies: total_us, or a value with its unit (12.3µs).",
        )
    cautions = []
    if refused:
        cautions.append(Caution(f"{count(refused)} values were below 0 or no numbers, and are left out."))
    return Recording(
        tool="log",
        format="latency-log",
        source=source.name,
        results=(
            HistogramSeries(
                tags=tuple(held),
                start_s=(0.0,) * len(held),
                length_s=(0.0,) * len(held),
                histograms=tuple(held.values()),
            ),
        ),
        warnings=tuple(cautions),
    )
