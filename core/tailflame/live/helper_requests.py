"""What a command line of ours is in the words of the privileged helper, which takes no command lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import ToolDenied

_EVENT_OR_GROUP = re.compile(r"\{([^{}]+)\}:W|([^,{}]+)")
_RING = ("--overwrite", "--switch-output=signal")
_NONE: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class HelperRequest:
    """A verb, whose process, and what the verb takes. `out`: the file that the result is written to, by us."""

    verb: str
    pid: int
    fields: Mapping[str, object] = field(default_factory=lambda: _NONE)
    out: Path | None = None


def request_of(argv: Sequence[str]) -> HelperRequest:
    """Raises ToolDenied for a command that the helper does not run."""
    words = [Path(argv[0]).name, *argv[1:]] if argv else []
    try:
        match words:
            case ["perf", "record", *options]:
                return _perf_record(_Options(options, flags=("-N", *_RING)))
            case ["perf", "stat", *options]:
                return _perf_stat(_Options(options, flags=("-j", "--json", "--per-thread")))
            case ["strace", *options]:
                return _strace(_Options(options, flags=("-f", "-c", "-w")))
    except (KeyError, ValueError) as problem:
        raise ToolDenied(
            f"The privileged helper does not run this {words[0]}: {problem.args[0]}.",
            advice="Leave out options of your own, or start Tailflame as root.",
            details=" ".join(argv),
        ) from problem
    raise ToolDenied(f"The privileged helper does not run {words[0] if words else 'nothing'}.", details=" ".join(argv))


class _Options:
    """`-F 999`, `--log-fd 1`: each taken once; what is left at the end is not known."""

    def __init__(self, words: Sequence[str], *, flags: Sequence[str]) -> None:
        self._flags: set[str] = set()
        self._values: dict[str, str] = {}
        waiting = list(words)
        while waiting:
            name = waiting.pop(0)
            if name in flags:
                self._flags.add(name)
            elif name.startswith("-") and waiting and name not in self._values:
                self._values[name] = waiting.pop(0)
            else:
                raise ValueError(name)

    def take(self, *names: str, default: str | None = None) -> str:
        for name in names:
            if name in self._values:
                return self._values.pop(name)
        if default is None:
            raise KeyError(f"{names[0]} is missing")
        return default

    def has(self, *names: str) -> bool:
        return any(name in self._flags for name in names)

    def end(self) -> None:
        for name in self._values:
            raise ValueError(name)


def _perf_record(options: _Options) -> HelperRequest:
    ring = options.has(*_RING)
    if ring and not all(options.has(flag) for flag in _RING):
        raise ValueError("half of what makes a ring")
    if options.take("-k", default="CLOCK_MONOTONIC") != "CLOCK_MONOTONIC":
        raise ValueError("another clock")
    graph, _, stack = options.take("--call-graph", default="none").partition(",")
    request = HelperRequest(
        "perf-ring" if ring else "perf-record",
        int(options.take("-p")),
        {
            "events": options.take("-e").split(","),
            "frequency": int(options.take("-F")),
            "call_graph": graph,
            "dwarf_stack": int(stack or 8192),
            "pages": int(options.take("-m", default="0")),
        },
        Path(options.take("-o")),
    )
    options.end()
    return request


def _perf_stat(options: _Options) -> HelperRequest:
    if not options.has("-j", "--json"):
        raise ValueError("without -j")
    options.take("--log-fd", default="1")
    out = options.take("-o", default="")
    request = HelperRequest(
        "perf-stat",
        int(options.take("-p")),
        {
            "events": _events(options.take("-e")),
            "interval_ms": int(options.take("-I")),
            "per_thread": options.has("--per-thread"),
        },
    )
    if out:
        raise ValueError("-o")
    options.end()
    return request


def _events(text: str) -> list[str | list[str]]:
    """ "{cycles,instructions}:W,task-clock": events, and groups that perf takes apart where it has to."""
    parts = _EVENT_OR_GROUP.findall(text)
    if ",".join(f"{{{group}}}:W" if group else event for group, event in parts) != text:
        raise ValueError(text)
    return [group.split(",") if group else event for group, event in parts]


def _strace(options: _Options) -> HelperRequest:
    if not options.has("-c"):
        raise ValueError("a trace, only summaries")
    request = HelperRequest("strace-summary", int(options.take("-p")), {}, Path(options.take("-o")))
    options.end()
    return request
