"""What a user wishes of a continuous profile: words that were typed, and what speaks against it."""

from __future__ import annotations

import math
from pathlib import Path

from tailflame.errors import TailflameError
from tailflame.host.binary import binary_facts
from tailflame.host.system import Host
from tailflame.run.continuous import ContinuousOptions, recording_options

MOST_SLICE_S = 86_400
MOST_FREQUENCY = 10_000
_SCALE = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def size_of(text: str) -> int:
    """ "500M", "1G", "64k" as bytes, by powers of 1024; ValueError for what is none."""
    words = text.strip().lower().removesuffix("ib").removesuffix("b")
    number, unit = (words[:-1], words[-1]) if words and words[-1].isalpha() else (words, "")
    try:
        value = float(number) * 2 ** _SCALE[unit]
    except (ValueError, KeyError):
        value = -1.0
    if not 0 < value < 2**62:
        raise ValueError(f"“{text}” is no size")
    return int(value)


def typed_options(
    host: Host, *, slice_s: str, frequency: str, cpu_percent: str, disk: str, call_graph: str = "fp"
) -> ContinuousOptions:
    """ValueError: what is wrong with them, a sentence without its full stop."""
    try:
        share = float(cpu_percent.strip().removesuffix("%"))
    except ValueError:
        share = math.nan
    if not 0 < share < math.inf:
        raise ValueError("The CPU budget must be above zero: a percentage of one core")
    return recording_options(
        host,
        slice_s=_whole(slice_s, "A slice", MOST_SLICE_S, "seconds"),
        frequency=_whole(frequency, "The frequency", MOST_FREQUENCY, "Hz"),
        call_graph=call_graph,
        cpu_share=share / 100,
        disk_bytes=size_of(disk),
    )


def _whole(text: str, what: str, most: int, unit: str) -> int:
    words = text.strip()
    value = int(words) if words.isascii() and words.isdecimal() and len(words) <= 9 else 0
    if not 1 <= value <= most:
        raise ValueError(f"{what} must be between 1 and {most:,} {unit}, a whole number")
    return value


def cut_short(name: str, image: Path) -> str:
    """What is to be known of stacks by frame pointers: a sentence, "" where the program has them, or cannot be seen."""
    try:
        if binary_facts(image).frame_pointers is not False:
            return ""
    except TailflameError:
        return ""
    return f"{name} keeps no frame pointers: its stacks will be cut short."
