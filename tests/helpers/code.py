"""A function with source, inlined code and instructions, for what shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from helpers.stacks import profile
from tailflame.analyse.annotate import InstructionLines
from tailflame.host.disassembly import CodeRange, Disassembly, FunctionCode, parse
from tailflame.host.source_files import SourceText
from tailflame.model import SiteTable, StackProfile
from tailflame.model.stacks import readonly

EXE = "/opt/engine/bin/engine"
HOT, COLD, MAX = "engine::hot", "engine::cold", "core::cmp::max"
HOT_RS, LIB_RS = "src/hot.rs", "/rustc/0123456789abcdef/library/core/src/cmp.rs"
STACKS = f"""
main@{EXE}!src/main.rs:3;{HOT}@{EXE}!{HOT_RS}:2 50
main@{EXE}!src/main.rs:3;{HOT}@{EXE}!{HOT_RS}:3;{MAX}_[i]@{EXE}!{LIB_RS}:70 200
main@{EXE}!src/main.rs:3;{HOT}@{EXE}!{HOT_RS}:4;{COLD}@{EXE}!{HOT_RS}:9 150
main@{EXE}!src/main.rs:4 600
"""
TEXT = SourceText(
    Path("/home/me/engine/src/hot.rs"),
    (
        "fn hot(values: &[u64]) -> u64 {",
        "    let mut best = values[0]; // the first",
        "\tbest = max(best, values[1]);",
        "    cold(best)",
        "}",
        "",
        "#[inline(never)]",
        "fn cold(best: u64) -> u64 {",
        "    best + 1",
        "}",
    ),
)
LIB_TEXT = SourceText(Path("/rust/cmp.rs"), ("",) * 69 + ("    if other < self { self } else { other }",))
SYMBOL = CodeRange(HOT, 0x1000, 0x1010)
LISTING = """
   1000:\t55                   \tpush   %rbp
   1001:\t48 8b 07             \tmov    (%rdi),%rax
   1004:\t48 39 c8             \tcmp    %rcx,%rax
   1007:\t74 f8                \tje     1001 <engine::hot+0x1>
   1009:\te8 f2 0f 00 00       \tcall   2000 <engine::cold>
   100e:\t5d                   \tpop    %rbp
   100f:\tc3                   \tret
"""
SITES = (0x1001, 0x1007, 0x2000, -1)


def sited() -> StackProfile:
    """STACKS with the instruction of each sample, as a recording has them."""
    held = profile(STACKS)
    module = held.frames.strings.index(EXE)
    known = [address for address in SITES if address >= 0]
    site = [known.index(address) if address >= 0 else -1 for address in SITES]
    return replace(
        held,
        sites=SiteTable(readonly([module] * len(known), np.int32), readonly(known, np.uint64)),
        samples=replace(held.samples, site=readonly(site, np.int32)),
    )


def disassembly() -> Disassembly:
    return parse(LISTING, SYMBOL)


def code() -> FunctionCode:
    return FunctionCode(Path(EXE), disassembly(), (SYMBOL,))


def lines() -> InstructionLines:
    """Where LISTING was written: lines 1, 2, 3 with `max` inlined at its compare and jump, 4, 5, 5."""
    return InstructionLines(
        place=readonly([0, 1, 3, 3, 4, 5, 5], np.int32),
        name=(HOT, HOT, HOT, MAX, HOT, HOT),
        file=(HOT_RS, HOT_RS, HOT_RS, LIB_RS, HOT_RS, HOT_RS),
        line=readonly([1, 2, 3, 70, 4, 5], np.int32),
        into=readonly([-1, -1, -1, 2, -1, -1], np.int32),
    )
