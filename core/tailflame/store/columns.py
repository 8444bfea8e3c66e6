"""Named arrays and one JSON header in a file that numpy's own `np.load` can open.

Reading trusts nothing: no pickles, no array whose header promises more than the file holds, no type but the
expected ones, and a bound on the whole.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tailflame.errors import StoreError
from tailflame.store.files import ARCHIVE_FAULTS, Fields, parse_json, reason, write_atomically

Array = npt.NDArray[Any]

TOTAL_LIMIT = 4 * 2**30
"""Bytes of all arrays unpacked: some hundred million samples."""
HEADER_LIMIT = 512 * 2**20
_HEADER = "header"
_PREAMBLE = struct.Struct("<8sH")
_MAGIC = b"\x93NUMPY\x01\x00"
# {'descr': '<i4', 'fortran_order': False, 'shape': (3,), }: read here, as numpy's own reader runs a tokenizer over
# whatever stands there.
_ARRAY = re.compile(
    rb"\{'descr': '(?P<type><i4|<i8|<u8|<f8|\|u1)', 'fortran_order': False, 'shape': \((?P<size>\d{1,15}),\), \} *\n"
)
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)
_FAST = 1  # deflate level: most of the gain at a fifth of the time of the default
_TYPES = frozenset({"<i4", "<i8", "<u8", "<f8", "|u1"})


def write_columns(path: Path, header: Mapping[str, Any], columns: Mapping[str, Array]) -> None:
    """Atomically. Arrays are one-dimensional int32, int64, uint64, float64 or uint8."""

    def write(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST) as archive:
            text = json.dumps(header, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
            _add(archive, _HEADER, np.frombuffer(text.encode("ascii"), dtype=np.uint8))
            for name, column in columns.items():
                _add(archive, name, column)

    write_atomically(path, write)


def _add(archive: zipfile.ZipFile, name: str, column: Array) -> None:
    if column.ndim != 1 or column.dtype.newbyteorder("<").str not in _TYPES:
        raise ValueError(f"column {name}: {column.dtype} of {column.ndim} dimensions is not stored")
    member = zipfile.ZipInfo(f"{name}.npy", _MEMBER_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(member, "w", force_zip64=True) as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(column), allow_pickle=False)


def read_columns(path: Path) -> tuple[Fields, dict[str, Array]]:
    """(header, read-only arrays by name). StoreError, naming the file, for whatever `write_columns` did not write."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {reason(error)}.") from error
    except ARCHIVE_FAULTS as error:
        raise StoreError(
            f"{path} is damaged: its archive cannot be unpacked.",
            advice="Read the raw file beside it instead.",
            details=f"{type(error).__name__}: {error}",
        ) from error


def _read(path: Path, archive: zipfile.ZipFile) -> tuple[Fields, dict[str, Array]]:
    members = archive.infolist()
    if sum(member.file_size for member in members) > TOTAL_LIMIT:
        raise StoreError(f"{path} is damaged: it would unpack to more than {TOTAL_LIMIT // 2**30} GiB.")
    arrays: dict[str, Array] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise StoreError(f"{path} is damaged: it holds “{name}” twice.")
        arrays[name] = _read_member(path, archive, member, name)
    packed = arrays.pop(_HEADER, None)
    if packed is None or packed.dtype != np.uint8 or len(packed) > HEADER_LIMIT:
        raise StoreError(f"{path} is damaged: it has no header.")
    return parse_json(packed.tobytes(), str(path)), arrays


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Array:
    with archive.open(member) as stream:
        head = stream.read(_PREAMBLE.size)
        magic, length = _PREAMBLE.unpack(head) if len(head) == _PREAMBLE.size else (b"", 0)
        text = stream.read(length)
        promise = _ARRAY.fullmatch(text) if magic == _MAGIC else None
        if promise is None:
            raise StoreError(f"{path} is damaged: “{name}” is not an array.")
        dtype, size = np.dtype(promise["type"].decode("ascii")), int(promise["size"])
        promised = size * dtype.itemsize
        if promised != member.file_size - len(head) - len(text):
            raise StoreError(f"{path} is damaged: “{name}” is not the array its header promises.")
        data = stream.read()
    if len(data) != promised:
        raise StoreError(f"{path} is damaged: “{name}” ends early.")
    return np.frombuffer(data, dtype=dtype)
