"""Files of heaptrack before 1.0, format 0, as a newer heaptrack would have written them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tailflame.parse.heaptrack_file import POINTER_MARK


def modern(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks of whole lines of format 0 as ones of format 1.

    `+ size trace pointer` becomes an allocation info and its number, `- pointer` the number of what was allocated
    there; a free of what was allocated before the recording is left out, as heaptrack_print leaves it out.
    """
    infos: dict[bytes, int] = {}
    used: dict[bytes, int] = {}
    latest = b""
    by_trace: dict[int, list[int]] = {}
    sizes: list[tuple[bytes, bytes]] = []
    stamps, total, since = [], 0, 0
    for block in blocks:
        lines: list[bytes] = []
        for line in block.split(b"\n")[:-1]:
            mark = line[:2]
            if mark == b"+ ":
                words = line.split()
                if len(words) != 4:
                    lines.append(line)  # damaged: it is counted as such
                    continue
                what = b"%b %b" % (words[1], words[2])
                info = infos.get(what)
                if info is None:
                    info = infos[what] = len(infos)
                    sizes.append((words[1], words[2]))
                    lines.append(b"a " + what)
                latest = words[3]
                used[latest] = info
                lines.append(b"+ %x" % info)
            elif mark == b"- ":
                pointer = line[2:].strip()
                freed = used.pop(pointer, None)
                if freed is None:
                    continue
                lines.append(b"- %x" % freed)
                if pointer == latest:
                    size, trace = sizes[freed]
                    sums = by_trace.setdefault(_number(trace), [0, 0])
                    sums[0] += 1
                    sums[1] += _number(size)
                    total += 1
                    since += 1
                latest = b""
            else:
                if mark == b"c ":
                    stamps.append(since)
                    since = 0
                lines.append(line)
        yield b"\n".join(lines) + b"\n" if lines else b""
    yield pointer_lines(by_trace, stamps, total)


def pointer_lines(by_trace: Mapping[int, Sequence[int]], stamps: Sequence[int], total: int) -> bytes:
    """The comments that keep temporary allocations by the pointer (calls and bytes of traces): see ByPointer."""
    lines = [POINTER_MARK + b"temporary %x %x %x\n" % (trace, calls, size) for trace, (calls, size) in by_trace.items()]
    for first in range(0, len(stamps), 1000):
        lines.append(POINTER_MARK + b"stamps " + b" ".join(b"%x" % n for n in stamps[first : first + 1000]) + b"\n")
    lines.append(POINTER_MARK + b"temporaries %x\n" % total)
    return b"".join(lines)


def _number(word: bytes) -> int:
    try:
        return max(int(word, 16), 0)
    except ValueError:
        return 0
