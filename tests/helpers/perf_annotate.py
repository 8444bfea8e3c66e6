"""What `perf annotate --stdio` prints, as figures by address."""

from __future__ import annotations

import re

_LINE = re.compile(r"^ +([0-9.]+) : +([0-9a-f]+):")


def figures(text: str) -> list[dict[int, float]]:
    """Per block of output the figure of every instruction: samples or percent, whichever was asked for."""
    blocks: list[dict[int, float]] = []
    for line in text.splitlines():
        if "Source code & Disassembly of" in line:
            blocks.append({})
        elif blocks and (found := _LINE.match(line)):
            blocks[-1][int(found[2], 16)] = float(found[1])
    return blocks
