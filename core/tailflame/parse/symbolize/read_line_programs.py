"""A program of its own: `python -I read_line_programs.py SOURCE TARGET BYTES SECONDS` tells lines of addresses.

It reads addresses as linked (hexadecimal, one a line) from its input, and writes what it knows of them to TARGET:
`address line path`, parted by tabs. The index of debug information lacks functions of which nothing but lines is known:
compilers that keep line tables only (`debug = "line-tables-only"`) say no more of one into which nothing was inlined.
"""

from __future__ import annotations

import posixpath
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

UNITS_LIMIT = 300
"""Compilation units whose line program is run; each has some thousand steps."""


def main(source: str, target: str, memory: str, seconds: str) -> int:
    import os

    for limit, value in ((resource.RLIMIT_AS, int(memory)), (resource.RLIMIT_CPU, int(seconds))):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)

    from elftools.elf.elffile import ELFFile

    addresses = sorted({int(line, 16) for line in sys.stdin})
    with Path(source).open("rb") as raw, Path(target).open("w", encoding="utf-8", errors="replace") as out:
        dwarf = ELFFile(raw).get_dwarf_info(relocate_dwarf_sections=False, follow_links=False)
        for number, (unit, wanted) in enumerate(units_of(dwarf, addresses, time.process_time() + int(seconds) / 2)):
            if number >= UNITS_LIMIT:
                break
            for address, line, path in lines_of(dwarf, unit, wanted):
                out.write(f"{address:x}\t{line}\t{path}\n")
            out.flush()
    return 0


def units_of(dwarf: Any, addresses: list[int], deadline: float) -> Iterator[tuple[Any, list[int]]]:
    """The compilation units that hold addresses, with these."""
    ranges = dwarf.get_aranges()
    if ranges is not None and ranges.entries:
        by_unit: dict[int, list[int]] = {}
        for address in addresses:
            offset = ranges.cu_offset_at_addr(address)
            if offset is not None:
                by_unit.setdefault(offset, []).append(address)
        for offset, wanted in by_unit.items():
            yield dwarf.get_CU_at(offset), wanted
        return
    for unit in dwarf.iter_CUs():
        if time.process_time() > deadline:
            return
        wanted = [address for address in addresses if any(low <= address < high for low, high in spans_of(dwarf, unit))]
        if wanted:
            yield unit, wanted


def spans_of(dwarf: Any, unit: Any) -> list[tuple[int, int]]:
    """The addresses that a unit says are its own."""
    top = unit.get_top_DIE()
    low = top.attributes["DW_AT_low_pc"].value if "DW_AT_low_pc" in top.attributes else 0
    if "DW_AT_high_pc" in top.attributes:
        high = top.attributes["DW_AT_high_pc"]
        return [(low, high.value if high.form == "DW_FORM_addr" else low + high.value)]
    if "DW_AT_ranges" not in top.attributes:
        return []
    spans = []
    for entry in dwarf.range_lists().get_range_list_at_offset(top.attributes["DW_AT_ranges"].value, cu=unit):
        if hasattr(entry, "base_address"):
            low = entry.base_address
        elif getattr(entry, "is_absolute", False):
            spans.append((entry.begin_offset, entry.end_offset))
        else:
            spans.append((low + entry.begin_offset, low + entry.end_offset))
    return spans


def lines_of(dwarf: Any, unit: Any, addresses: list[int]) -> Iterator[tuple[int, int, str]]:
    """(address, line, path) of those addresses that the unit's line program covers."""
    program = dwarf.line_program_for_CU(unit)
    if program is None:
        return
    folder = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    folder_text = folder.value.decode("utf-8", "replace") if folder is not None else ""
    before: Any = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and not before.end_sequence and before.address < state.address:
            at = bisect_left(addresses, before.address)
            while at < len(addresses) and addresses[at] < state.address:
                yield addresses[at], before.line, path_of(program.header, before.file, folder_text)
                at += 1
        before = state


def path_of(header: Any, number: int, folder: str) -> str:
    first = 0 if header.version >= 5 else 1
    files, folders = header.file_entry, header.include_directory
    if not 0 <= number - first < len(files):
        return ""
    file = files[number - first]
    inside = file.dir_index - first
    place = folders[inside].decode("utf-8", "replace") if 0 <= inside < len(folders) else ""
    name = file.name.decode("utf-8", "replace")
    return posixpath.normpath(posixpath.join(folder, place, name)).replace("\n", "?").replace("\t", "?")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
