"""The payload of a histogram log's line: one histogram in base64, as Java's AbstractHistogram and others encode it.

Outside: big-endian int32 cookie and int32 length, then a zlib stream (compressed) or at once what it would hold:

    V2, V1   int32 cookie, payload length, normalizing index offset, digits; int64 lowest, highest; float64 ratio
    V0       int32 cookie, digits; int64 lowest, highest, total

then the counts in the order of their values, up to the last in use: in V0 and V1 as 2, 4 or 8 byte words, in V2 as
ZigZag LEB128 numbers of at most 9 bytes, -n standing for n counts of zero. The offset says only how the encoder's own
array was rotated. Java's DoubleHistogram puts 16 bytes (cookie, digits, range) before such a histogram of integers,
whose `ratio` is what one integer is worth.
https://github.com/HdrHistogram/HdrHistogram/blob/master/src/main/java/org/HdrHistogram/AbstractHistogram.java
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from tailflame.model import Histogram
from tailflame.model.buckets import layout, most_counts
from tailflame.model.stacks import Int64, readonly

_V0, _V0_COMPRESSED = 0x1C849308, 0x1C849309
_V1, _V1_COMPRESSED = 0x1C849301, 0x1C849302
_V2, _V2_COMPRESSED = 0x1C849303, 0x1C849304
_DOUBLE, _DOUBLE_COMPRESSED = 0x0C72124E, 0x0C72124F
_COMPRESSED = (_V0_COMPRESSED, _V1_COMPRESSED, _V2_COMPRESSED)
_WORD_V2 = 0x10
"""Bits 4 to 7 of a cookie are the word size; in V2 they say that words are of any size."""

_HEADER = struct.Struct(">iiiiqqd")
_HEADER_V0 = struct.Struct(">iiqqq")
_HEADER_DOUBLE = 16

_LIMIT = 64 * 1024 * 1024
"""Most bytes of one histogram: 5 digits over all of 63 bits are 6 million counts, 48 MB in V1."""
_TOTAL_LIMIT = 2.0**60
"""No program counts that far; sums of damaged counts would."""


@dataclass(frozen=True, slots=True)
class Payload:
    """ratio: what a value of 1 of the histogram is worth; None where values are what they are (no DoubleHistogram)."""

    histogram: Histogram
    ratio: float | None


def decode(text: str) -> Payload:
    """The histogram in a base64 payload. ValueError, phrased for people, where there is none."""
    try:
        # Java's decoder does without the padding.
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("its payload is cut off") from None
    cookie = _cookie(data)
    if cookie not in (_DOUBLE, _DOUBLE_COMPRESSED):
        return Payload(_integers(data)[0], None)
    histogram, ratio = _integers(data[_HEADER_DOUBLE:])
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError("its histogram has an impossible layout")
    return Payload(histogram, ratio)


def encode(histogram: Histogram) -> str:
    """As V2, compressed, in base64; what Java, C, Rust, Go and Python read."""
    from pyhdrh import encode as encode_counts  # type: ignore[import-not-found]

    counts = histogram.counts
    used = np.flatnonzero(counts)
    length = int(used[-1]) + 1 if len(used) else 1
    words = np.zeros(length, dtype=np.int64)
    words[: len(counts)] = counts[:length]
    encoded = np.empty(9 * length, dtype=np.uint8)
    size = encode_counts(words.ctypes.data, length, 8, encoded.ctypes.data, len(encoded))
    lowest, digits = histogram.lowest, histogram.digits
    shape = layout(lowest, digits)
    # The range of a histogram that has grown with its values.
    highest = shape.high(most_counts(lowest, digits, max(shape.high(length - 1), 2 * lowest)) - 1)
    head = _HEADER.pack(_V2 | _WORD_V2, size, 0, digits, lowest, highest, 1.0)
    packed = zlib.compress(head + encoded[:size].tobytes(), 9)
    return base64.b64encode(struct.pack(">ii", _V2_COMPRESSED | _WORD_V2, len(packed)) + packed).decode()


def _cookie(data: bytes) -> int:
    """Which encoding `data` is of, without the word size."""
    if len(data) < 8:
        raise ValueError("its payload is cut off")
    cookie = int.from_bytes(data[:4], "big")
    if cookie in (_DOUBLE, _DOUBLE_COMPRESSED):
        return cookie
    if cookie & ~0xF0 not in (_V0, _V1, _V2, *_COMPRESSED):
        raise ValueError("its payload is not a histogram")
    return cookie & ~0xF0


def _integers(data: bytes) -> tuple[Histogram, float]:
    """The histogram of integers that `data` begins with, and its ratio."""
    complete = True
    if _cookie(data) in _COMPRESSED:
        data, complete = _unpacked(data)
    cookie, word = _cookie(data), data[3] >> 4 & 0xE
    if cookie not in (_V0, _V1, _V2):
        raise ValueError("its payload is not a histogram")
    try:
        if cookie == _V0:
            _, digits, lowest, highest, total = _HEADER_V0.unpack_from(data)
            body, ratio = data[_HEADER_V0.size :], 1.0
        else:
            _, length, _, digits, lowest, highest, ratio = _HEADER.unpack_from(data)
            body = data[_HEADER.size :]
            if not 0 <= length <= len(body):
                raise ValueError("its payload is cut off")
            body = body[:length]
    except struct.error:
        raise ValueError("its payload is cut off") from None
    if not (0 <= digits <= 5 and 1 <= lowest <= highest // 2 and _bits(lowest, digits) <= 62):
        raise ValueError("its histogram has an impossible layout")
    most = most_counts(lowest, digits, highest)
    counts = _numbers(body, most) if cookie == _V2 else _words(body, word, most)
    if (len(counts) and counts.min() < 0) or counts.sum(dtype=np.float64) > _TOTAL_LIMIT:
        raise ValueError("its payload has impossible counts")
    if cookie == _V0 and not complete and int(counts.sum()) != total:
        raise ValueError("its payload is cut off")
    return Histogram(counts=counts, lowest=lowest, digits=digits), ratio


def _unpacked(data: bytes) -> tuple[bytes, bool]:
    """What a compressed payload holds, and whether its stream is whole: Java does not need the end of it."""
    unpacker = zlib.decompressobj()
    (size,) = struct.unpack_from(">i", data, 4)
    if size < 0:
        raise ValueError("its payload is damaged")
    try:
        inner = unpacker.decompress(data[8 : 8 + size], _LIMIT)
    except zlib.error:
        raise ValueError("its payload is damaged") from None
    if not unpacker.eof and unpacker.unconsumed_tail:
        raise ValueError("its payload is far too large")
    if len(inner) < 8:
        raise ValueError("its payload is cut off")
    return inner, unpacker.eof


def _words(body: bytes, word: int, most: int) -> Int64:
    """The counts of V0 and V1."""
    if word not in (2, 4, 8):
        raise ValueError(f"its histogram has counts of {word} bytes, which no encoder writes")
    counts = np.frombuffer(body, dtype=f">i{word}", count=len(body) // word)
    used = np.flatnonzero(counts)
    end = int(used[-1]) + 1 if len(used) else 0
    if end > most:
        raise ValueError("its payload has more counts than its layout")
    return readonly(counts[:end], np.int64)


def _numbers(body: bytes, most: int) -> Int64:
    """The counts of V2."""
    from pyhdrh import decode as decode_counts

    counts = np.zeros(most, dtype=np.int64)
    try:
        # Checks every index against `most`, and every number against the end of the bytes.
        found = decode_counts(body, 0, counts.ctypes.data, most, 8)
    except (IndexError, OverflowError):
        raise ValueError("its payload has more counts than its layout") from None
    except ValueError:
        raise ValueError("its payload is cut off") from None
    return readonly(counts[: found["max_nonzero_index"] + 1 if found["min_nonzero_index"] >= 0 else 0], np.int64)


def _bits(lowest: int, digits: int) -> int:
    """Bits of a value that a layout's finest doubling needs; Java allows 62."""
    shape = layout(lowest, digits)
    return shape.half + 1 + shape.unit
