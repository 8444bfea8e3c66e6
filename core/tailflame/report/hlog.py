"""Histogram logs out (.hlog): one line per interval, read by HdrHistogram in every language."""

from __future__ import annotations

import re
import time
from typing import TextIO

from tailflame.model import Histogram
from tailflame.parse.hdr_payload import encode
from tailflame.report.hgrm import MILLISECONDS, fixed

_DELIMITERS = re.compile(r"[,\s\x00]+")


class HlogWriter:
    """Writes a log as Java's HistogramLogWriter does, payloads as V2. Each line is flushed: a crash costs the last one.

    stream: opened for text, UTF-8; the writer does not close it. start_time_s: seconds since the epoch.
    base_time_s: what stamps are written relative to. A failed write raises OSError.
    """

    def __init__(self, stream: TextIO, start_time_s: float, *, base_time_s: float = 0.0, comment: str = "") -> None:
        self._stream = stream
        self._base_s = base_time_s
        head = [f"#[{comment}]"] if comment else []
        head.append("#[Histogram log format version 1.3]")
        if base_time_s:
            head.append(f"#[BaseTime: {fixed(base_time_s, 3)} (seconds since epoch)]")
        head.append(f"#[StartTime: {fixed(start_time_s, 3)} (seconds since epoch), {_date(start_time_s)}]")
        head.append('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"')
        self._put("\n".join(head))

    def write(self, tag: str, start_s: float, length_s: float, histogram: Histogram) -> None:
        """One interval: `start_s` in seconds since the epoch, values in ns. "" is no tag.

        ValueError for a tag with a comma or white space: readers could not tell its end (`safe_tag`).
        """
        if _DELIMITERS.search(tag):
            raise ValueError(f"a tag of a histogram log has no commas and no spaces: {tag!r}")
        name = f"Tag={tag}," if tag else ""
        stamp, length = fixed(start_s - self._base_s, 3), fixed(length_s, 3)
        self._put(f"{name}{stamp},{length},{fixed(histogram.maximum / MILLISECONDS, 3)},{encode(histogram)}")

    def _put(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def safe_tag(name: str) -> str:
    """`name` as a tag: "std::map<int, int>::find" becomes "std::map<int_int>::find"."""
    return _DELIMITERS.sub("_", name.strip())


def _date(seconds: float) -> str:
    """As Java's Date has it, in UTC: "Tue Nov 14 22:13:20 UTC 2023"; strftime would speak the user's language."""
    day, month, number, clock, year = time.asctime(time.gmtime(seconds)).split()
    return f"{day} {month} {int(number):02d} {clock} UTC {year}"
