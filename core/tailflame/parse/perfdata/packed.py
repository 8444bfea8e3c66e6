"""Compressed records (`perf record -z`): one zstd stream over the records, cut into pieces.

tools/perf/util/session.c, perf_session__process_compressed_event: a record may begin in one piece and end in the next.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

import zstandard

from tailflame.errors import ParseError
from tailflame.parse.perfdata.records import COMPRESSED, COMPRESSED2, Records

OUTPUT_LIMIT = 4 * 1024**3
"""Bytes that are unpacked at most, in memory: perf's own recordings of an hour are smaller."""
_BOMB_SIZE, _BOMB_RATIO = 256 * 1024 * 1024, 400
_HEADER, _HEADER2 = 8, 16
_STEP = 512


class TooLarge(Exception):
    """More comes out than is held in memory."""


def unpacked(
    data: mmap.mmap | bytes, records: Records, *, name: str, watch: Callable[[], None] = lambda: None
) -> tuple[bytearray, bool]:
    """All records of the kernel one after another, and whether the stream was whole.

    Raises TooLarge, and ParseError where it grows beyond anything that perf packs.
    """
    out = bytearray()
    rest = bytearray()
    unpack = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    whole = True
    columns = (records.at.tolist(), records.kind.tolist(), records.size.tolist())
    taken = 0
    for at, kind, size in zip(*columns, strict=True):
        if kind not in (COMPRESSED, COMPRESSED2):
            if kind < 64 and not size % 8:
                out += data[at : at + size]
            continue
        watch()
        if kind == COMPRESSED2:
            length = min(int.from_bytes(data[at + 8 : at + 16], "little"), max(size - _HEADER2, 0))
            piece = data[at + _HEADER2 : at + _HEADER2 + length]
        else:
            piece = data[at + _HEADER : at + size]
        taken += len(piece)
        limit = max(_BOMB_SIZE, _BOMB_RATIO * taken)
        try:
            _feed(unpack, piece, rest, limit - len(out), name)
        except zstandard.ZstdError:
            whole = False
            break
        end = _whole_records(rest)
        out += rest[:end]
        del rest[:end]
        if len(out) > OUTPUT_LIMIT:
            raise TooLarge
    return out, whole and not rest


def _feed(unpack: zstandard.ZstdDecompressionObj, piece: bytes, rest: bytearray, limit: int, name: str) -> None:
    """In small steps: zstd makes 128 KiB of four bytes, and zeros shall be seen before they fill the memory."""
    for at in range(0, len(piece), _STEP):
        rest += unpack.decompress(piece[at : at + _STEP])
        if len(rest) > limit:
            raise ParseError(
                f"The compressed records of {name} unpack to more than {_BOMB_RATIO} times their size: perf makes no"
                " such file.",
                source=name,
                advice="Record again; do not open files of strangers.",
            )


def _whole_records(rest: bytearray) -> int:
    """Where the last whole record ends."""
    at, end = 0, len(rest)
    while at + 8 <= end:
        size = rest[at + 6] | rest[at + 7] << 8
        if size < 8 or size % 8 or at + size > end:
            break
        at += size
    return at
