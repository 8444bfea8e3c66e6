"""The kinds of results that have a file of their own here: one entry each in `CODECS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tailflame.model.benchmarks import BenchmarkRun
from tailflame.model.costs import CostTable
from tailflame.model.heap import HeapTimeline
from tailflame.model.maps import ProbeMaps
from tailflame.model.recording import Result
from tailflame.model.syscalls import SyscallTrace
from tailflame.store.benchmark_columns import decode_benchmarks, encode_benchmarks
from tailflame.store.cost_columns import decode_costs, encode_costs
from tailflame.store.files import Fields
from tailflame.store.heap_columns import decode_heap, encode_heap
from tailflame.store.map_columns import decode_maps, encode_maps
from tailflame.store.syscall_columns import decode_syscalls, encode_syscalls
from tailflame.store.tables import Array, Columns


@dataclass(frozen=True, slots=True)
class Codec:
    """kind: the word in the header. encode puts columns and returns the header's part; decode raises StoreError."""

    kind: str
    type: type
    encode: Callable[[Any, str, Columns], dict[str, Any]]
    decode: Callable[[Fields, str, Mapping[str, Array]], Result]


CODECS: tuple[Codec, ...] = (
    Codec("heap", HeapTimeline, encode_heap, decode_heap),
    Codec("maps", ProbeMaps, encode_maps, decode_maps),
    Codec("costs", CostTable, encode_costs, decode_costs),
    Codec("syscalls", SyscallTrace, encode_syscalls, decode_syscalls),
    Codec("benchmarks", BenchmarkRun, encode_benchmarks, decode_benchmarks),
)


def encode_more(result: Result, prefix: str, columns: Columns) -> dict[str, Any]:
    codec = next(codec for codec in CODECS if isinstance(result, codec.type))
    return {"kind": codec.kind, **codec.encode(result, prefix, columns)}


def decode_more(kind: str, fields: Fields, prefix: str, columns: Mapping[str, Array]) -> Result:
    codec = next((codec for codec in CODECS if codec.kind == kind), None)
    if codec is None:
        raise fields.wrong("kind", "a kind of result that this Tailflame knows")
    return codec.decode(fields, prefix, columns)
