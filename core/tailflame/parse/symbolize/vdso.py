"""The vdso: code that the kernel lends to every process. Ours is the recorded one where the build ids are equal."""

from __future__ import annotations

from pathlib import Path

from tailflame.parse.symbolize.elf_file import ElfFile, NotElf, elf_in_memory, open_elf

_LIMIT = 1024**2


def vdso(build_id: str, home: Path, *, same_kernel: bool) -> ElfFile | None:
    """None where neither ours nor perf's copy of the recorded one is it. same_kernel: whether the recorded one runs."""
    own = _own()
    if not build_id:
        return own if same_kernel else None
    if own is not None and own.build_id() == build_id:
        return own
    try:
        kept = open_elf(home / ".debug/[vdso]" / build_id / "vdso")
    except NotElf:
        return None
    return kept if kept.build_id() == build_id else None


def _own() -> ElfFile | None:
    try:
        maps = Path("/proc/self/maps").read_text()
        line = next(line for line in maps.splitlines() if line.endswith("[vdso]"))
        begin, end = (int(number, 16) for number in line.split(" ", 1)[0].split("-"))
        with Path("/proc/self/mem").open("rb", buffering=0) as memory:
            memory.seek(begin)
            image = memory.read(min(end - begin, _LIMIT))
        return elf_in_memory(image, Path("[vdso]"))
    except (OSError, StopIteration, ValueError, NotElf):
        return None
