"""The machine code of one function, as objdump prints it, in columns.

objdump is what `perf annotate` uses as well, so the texts agree; it knows every processor that the system's binutils
were built for, and the names behind calls. It is given a range of addresses, and reads no debug information: source
lines are looked up elsewhere, in the index that the profile's own lines come from.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tailflame.errors import StoreError, ToolFailed, ToolMissing
from tailflame.host.elf import BrokenElf, Elf
from tailflame.host.functions import demangled, stable_name
from tailflame.host.install import install_command
from tailflame.host.system import find_tool
from tailflame.model.stacks import NONE, Int32, Int64, UInt64, readonly

DEBUG_ROOT = Path("/usr/lib/debug")
OUTPUT_LIMIT = 32 << 20
"""Bytes of objdump's text that are read: some 600,000 instructions."""
RANGE_LIMIT = 4 << 20
"""Bytes of code that are disassembled at once: the largest functions of real programs have some hundred thousand."""
TIMEOUT_S = 30.0
_POLL_S = 0.05
_UNKNOWN_SIZE = 4096
"""Bytes of code shown of a function whose end nobody tells."""
_NESTED = 64
"""Symbols before an address that are asked whether they reach as far: one may lie within another."""
_CODE_TYPES = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_UNTYPED = 0  # STT_NOTYPE: written in assembly

# "   fb782:\t74 1b                \tje     fb79f <trading_system::risk::check_exposure+0x1f>"
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t((?:[0-9a-f]{2,16} ?)*) *(?:\t(.*))?$")
# "fb79f <f+0x1f>", in a branch; "# 1b2f8 <memcpy@GLIBC_2.14>", of an operand that is relative to the instruction.
_PLACE = re.compile(r"(?:(?<=[\s,*])|^)(?:0x)?([0-9a-f]+) <(.+)>(?=$|\s+(?://|#))")
_OFFSET = re.compile(r"[+-]0x[0-9a-f]+$")
_JUMP = re.compile(
    r"^(?:(?:bnd|notrack) +)?(?:j[a-z]+|loop\w*|xbegin|b(?:\.\w+)?|cbn?z|tbn?z|b[a-z]{2,3}|j|beqz|bnez)$"
)
_CALL = re.compile(r"^(?:(?:bnd|notrack) +)?(?:call[qlw]?|blr?|jalr?|bal|brasl)$")
# Elf64_Rela, and what of it fills a slot on x86-64: R_X86_64_RELATIVE; R_X86_64_64, GLOB_DAT and JUMP_SLOT.
_RELOCATION = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])
_RELATIVE, _SYMBOLIC = 8, (1, 6, 7)
_VERSION = re.compile(r"@@?[A-Za-z][\w.]*$")


@dataclass(frozen=True, slots=True)
class CodeRange:
    """A symbol: its name for people, and its first address and the one behind its last."""

    name: str
    start: int
    stop: int

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.stop


@dataclass(frozen=True, slots=True, eq=False)
class Disassembly:
    """One row per instruction, by address.

    address: as linked; code: its bytes in hex; text: as objdump prints it; target: the row that it jumps to (-1: it
    does not jump, or to elsewhere); far: the address that it calls or jumps to outside of these rows (-1: none);
    callee: the function there, "" for none.
    truncated: the end is missing, because it was too much.
    """

    symbol: CodeRange
    address: UInt64
    code: tuple[str, ...]
    text: tuple[str, ...]
    target: Int32
    far: Int64
    callee: tuple[str, ...]
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.text)

    @property
    def stop(self) -> int:
        """The address behind the last instruction."""
        if not len(self):
            return self.symbol.start
        return int(self.address[-1]) + max(len(self.code[-1].replace(" ", "")) // 2, 1)

    def row_at(self, address: int) -> int:
        """The row of the instruction that holds `address`, -1 where none does."""
        if not len(self) or not int(self.address[0]) <= address < self.stop:
            return NONE
        return int(np.searchsorted(self.address, np.uint64(address), side="right")) - 1


@dataclass(frozen=True, slots=True, eq=False)
class FunctionCode:
    """The code of a function in its file. ranges: the symbols that its samples lie in, the heaviest first.
    caution: what makes it doubtful that this code ran, "" where nothing does.
    """

    binary: Path
    disassembly: Disassembly
    ranges: tuple[CodeRange, ...] = ()
    caution: str = ""


class NoCode(StoreError):
    """The machine code cannot be shown; the sentence says why."""


def find_binary(module: str, build_id: str, *, home: Path | None = None) -> Path:
    """The ELF file with the code of `module` as it was when it had `build_id` ("": nobody noted it).

    Raises:
        NoCode: there is none, or only another build; all the places are listed.
    """
    if module.startswith("[") and not build_id:
        raise NoCode(f"{module} is no file.", advice="Its code is not kept in a recording.")
    path = Path(module.removesuffix(" (deleted)"))
    looked: list[str] = []
    changed = False
    for place in (path, *_kept_copies(build_id, home)):
        if not place.is_absolute():
            continue
        looked.append(str(place))
        found, known = _build_of(place)
        if not found:
            continue
        # The vdso keeps its build id in another note; of a kept copy the folder's name tells it.
        if known == build_id or not build_id or (place != path and not known):
            return place
        changed = changed or place == path
    what = "is another build than the recorded one" if changed else "is not on this machine"
    raise NoCode(
        f"{path} {what}, so its instructions cannot be shown.",
        advice="Record again, or check out and build what was recorded." if changed else "Copy it to where it was.",
        details="\n".join(("Looked for", *looked, f"with build id {build_id or '(none noted)'}")),
    )


def _kept_copies(build_id: str, home: Path | None) -> Iterator[Path]:
    """perf's own cache keeps a copy of each binary that it recorded."""
    if build_id:
        cache = (home or Path.home()) / ".debug/.build-id" / build_id[:2] / build_id[2:]
        yield cache / "elf"
        yield cache / "vdso"


def _build_of(path: Path) -> tuple[bool, str]:
    """(whether it is a readable ELF file with code, its build id)."""
    try:
        if not path.is_file():
            return False, ""
        with Elf(path) as elf:
            return elf.has(".text"), elf.build_id
    except (OSError, ValueError, BrokenElf):
        return False, ""


def ranges_of(binary: Path, addresses: Iterable[int]) -> tuple[CodeRange, ...]:
    """The symbols that hold `addresses`, by address. An address without one gets a range of its own.

    Raises:
        NoCode: the file cannot be read.
    """
    wanted = sorted(set(addresses))
    try:
        with Elf(binary) as elf:
            tables = [elf.symbols(".symtab"), *_separate_symbols(elf), elf.symbols(".dynsym")]
            loaded = sorted((begin, begin + size) for begin, _offset, size in elf.loaded)
    except (OSError, ValueError) as problem:
        raise NoCode(f"{binary} cannot be read.", details=str(problem)) from problem
    except BrokenElf as broken:
        raise NoCode(broken.sentence, details=broken.details) from broken
    found: dict[int, tuple[str, int]] = {}
    for table, names in tables:
        kind = table["info"] & 15
        code = table[(np.isin(kind, _CODE_TYPES) | (kind == _UNTYPED)) & (table["section"] > 0) & (table["value"] > 0)]
        code = code[np.argsort(code["value"], kind="stable")]
        starts = code["value"]
        for address in wanted:
            if not any(start <= address < stop for start, (_name, stop) in found.items()):
                symbol = _covering(code, starts, names, address, loaded)
                if symbol is not None:
                    found[symbol[1]] = (symbol[0], symbol[2])
    for address in wanted:
        if not any(start <= address < stop for start, (_name, stop) in found.items()):
            end = next((end for begin, end in loaded if begin <= address < end), address + 1)
            found[address] = ("", min(address + _UNKNOWN_SIZE, end))
    symbols = [name for name, _stop in found.values()]
    readable, _worked = demangled(symbols)
    pairs = sorted(zip(found.items(), readable, strict=True), key=lambda pair: pair[0][0])
    return tuple(CodeRange(name, start, stop) for (start, (_symbol, stop)), name in pairs)


def _separate_symbols(elf: Elf) -> list[tuple[np.ndarray, bytes]]:
    """Symbols that a distribution has taken out of a file, where its package of debug symbols is installed."""
    build_id = elf.build_id
    if len(elf.symbols(".symtab")[0]) or not build_id:
        return []
    path = DEBUG_ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    try:
        with Elf(path) as separate:
            return [separate.symbols(".symtab")] if separate.build_id == build_id else []
    except (OSError, ValueError, BrokenElf):
        return []


def _covering(
    code: np.ndarray, starts: np.ndarray, names: bytes, address: int, loaded: Sequence[tuple[int, int]]
) -> tuple[str, int, int] | None:
    """(name, start, stop) of the symbol that holds `address`. One without a size ends where the next begins."""
    at = int(np.searchsorted(starts, np.uint64(address), side="right")) - 1
    best: tuple[str, int, int] | None = None
    begin = int(starts[at]) if at >= 0 else 0
    back = at - _NESTED
    while at >= 0 and (int(starts[at]) == begin or (best is None and at > back)):
        start, size = int(starts[at]), int(code["size"][at])
        stop = start + size
        if not size:
            after = int(np.searchsorted(starts, np.uint64(start), side="right"))
            end = next((end for low, end in loaded if low <= start < end), start)
            stop = min(int(starts[after]), end) if after < len(starts) else end
        if start <= address < stop and (best is None or size):
            best = _text(names, int(code["name"][at])), start, stop
        at -= 1
    return best


def disassemble(
    binary: Path,
    symbol: CodeRange,
    *,
    watch: Callable[[], None] = lambda: None,
    timeout_s: float = TIMEOUT_S,
) -> Disassembly:
    """The instructions of `symbol`. Blocks for some hundredths of a second; call it from a thread.

    watch: called now and then; what it raises (Cancelled) ends objdump.

    Raises:
        ToolMissing: there is no objdump.
        ToolFailed: it took too long, or cannot read the file.
    """
    tool = find_tool("objdump")
    if tool is None:
        raise ToolMissing("objdump is not installed.", advice=install_command("binutils"))
    stop = min(symbol.stop, symbol.start + RANGE_LIMIT)
    argv = (
        str(tool), "--disassemble", "--demangle", "--wide", "--disassemble-zeroes",
        f"--start-address={symbol.start:#x}", f"--stop-address={stop:#x}", "--", str(binary),
    )  # fmt: skip
    text, whole = _run(argv, watch, timeout_s)
    made = _linked(parse(text, symbol, truncated=not whole or stop < symbol.stop), binary)
    if not len(made):
        raise ToolFailed(
            f"objdump finds no code at {symbol.start:#x} in {binary}.",
            advice="Is the program built for a processor that this objdump knows?",
            details=text[:2000],
        )
    return made


def _run(argv: Sequence[str], watch: Callable[[], None], timeout_s: float) -> tuple[str, bool]:
    """What a tool writes, at most OUTPUT_LIMIT bytes, and whether that is all."""
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as problem:
        raise ToolFailed(f"{argv[0]} could not be started: {problem.strerror}.") from problem
    assert child.stdout is not None and child.stderr is not None
    pieces: list[bytes] = []
    errors: list[bytes] = []
    size, whole = 0, True
    ends = time.monotonic() + timeout_s
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ, pieces)
            selector.register(child.stderr, selectors.EVENT_READ, errors)
            while selector.get_map() and whole:
                watch()
                if time.monotonic() > ends:
                    raise ToolFailed(
                        f"objdump has not answered within {timeout_s:.0f} seconds.", advice="The file may be damaged."
                    )
                for key, _events in selector.select(_POLL_S):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data is pieces or sum(map(len, errors)) < 1 << 16:
                        key.data.append(data)
                        size += len(data)
                whole = size <= OUTPUT_LIMIT
        code = child.wait(timeout=5) if whole else 0
    except subprocess.TimeoutExpired as problem:
        raise ToolFailed("objdump does not end.", advice="The file may be damaged.") from problem
    finally:
        if child.poll() is None:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5)
        child.stdout.close()
        child.stderr.close()
    told = b"".join(errors).decode("utf-8", "replace").strip()
    if code and not pieces:
        raise ToolFailed("objdump cannot read this file.", details=told)
    return b"".join(pieces).decode("utf-8", "replace"), whole


def parse(text: str, symbol: CodeRange, *, truncated: bool = False) -> Disassembly:
    """objdump's text as columns. What is no instruction is left out; nothing in it raises."""
    addresses: list[int] = []
    codes: list[str] = []
    texts: list[str] = []
    for line in text.split("\n"):
        found = _INSTRUCTION.match(line)
        if found is None:
            continue
        address = int(found[1], 16)
        if address >= 1 << 64 or (addresses and address <= addresses[-1]):
            continue
        if found[3] is None and addresses:  # the bytes that did not fit: "   fb78c:\t58 bf"
            codes[-1] = f"{codes[-1]} {found[2].strip()}"
            continue
        addresses.append(address)
        codes.append(found[2].strip())
        texts.append(_tidy(found[3] or ""))
    column = readonly(np.array(addresses, dtype=np.uint64), np.uint64)
    row_of = {address: row for row, address in enumerate(addresses)}
    target = np.full(len(addresses), NONE, dtype=np.int32)
    far = np.full(len(addresses), NONE, dtype=np.int64)
    callees = [""] * len(addresses)
    for row, words in enumerate(texts):
        mnemonic = words.split(None, 1)[0] if words else ""
        if mnemonic in ("bnd", "notrack"):
            mnemonic = words.split(None, 2)[1] if len(words.split(None, 2)) > 1 else ""
        calls, jumps = bool(_CALL.match(mnemonic)), bool(_JUMP.match(mnemonic))
        place = _PLACE.search(words) if calls or jumps else None
        if place is None:
            continue
        at = int(place[1], 16)
        name = stable_name(_VERSION.sub("", _OFFSET.sub("", place[2]))) if calls or at not in row_of else ""
        if jumps and not calls and at in row_of:
            target[row] = row_of[at]
        elif at < 1 << 63:
            far[row] = at
            callees[row] = name
    return Disassembly(
        symbol=symbol,
        address=column,
        code=tuple(codes),
        text=tuple(texts),
        target=readonly(target, np.int32),
        far=readonly(far, np.int64),
        callee=tuple(callees),
        truncated=truncated,
    )


def _linked(made: Disassembly, binary: Path) -> Disassembly:
    """With the functions behind calls through the table of addresses (GOT): rustc calls other crates so.

    objdump shows the slot alone: "call *0x1d44d2(%rip)        # 2cd7d0 <_DYNAMIC+0x390>"; what the loader writes into
    it stands in the relocations.
    """
    slots = {int(made.far[row]) for row in range(len(made)) if made.far[row] >= 0 and "(%rip)" in made.text[row]}
    if not slots:
        return made
    try:
        with Elf(binary) as elf:
            raw = elf.section(".rela.dyn") + elf.section(".rela.plt")
            symbols, names = elf.symbols(".dynsym")
    except (OSError, ValueError, BrokenElf):
        return made
    table = np.frombuffer(raw[: len(raw) // 24 * 24], dtype=_RELOCATION)
    table = table[np.isin(table["offset"], np.array(sorted(slots), dtype=np.uint64))]
    address: dict[int, int] = {}
    named: dict[int, str] = {}
    for slot, info, addend in table.tolist():
        kind, symbol = info & 0xFFFFFFFF, info >> 32
        if kind == _RELATIVE and 0 <= addend < 1 << 63:
            address[slot] = addend
        elif kind in _SYMBOLIC and symbol < len(symbols):
            named[slot] = _text(names, int(symbols["name"][symbol]))
    ranges = ranges_of(binary, address.values()) if address else ()
    called = {at: next((r.name for r in ranges if r.start == at), "") for at in address.values()}
    readable = dict(zip(named, demangled(list(named.values()))[0], strict=True))
    far, callee = made.far.copy(), list(made.callee)
    for row in range(len(made)):
        slot = int(far[row])
        if slot in slots and "(%rip)" in made.text[row]:
            far[row] = address.get(slot, NONE)
            callee[row] = called.get(far[row], "") or readable.get(slot, "")
    return replace(made, far=readonly(far, np.int64), callee=tuple(callee))


def _text(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else None].decode("utf-8", "replace")


def _tidy(text: str) -> str:
    """One blank where objdump fills up to a column, so that the view can align by itself; control signs are shown."""
    mnemonic, _, rest = text.strip().replace("\t", " ").partition(" ")
    joined = f"{mnemonic} {rest.strip()}".strip()
    return joined if joined.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in joined)
