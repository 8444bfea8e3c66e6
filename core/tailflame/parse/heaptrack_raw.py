"""Raw heaptrack files, as the preloaded library writes them: given their names by heaptrack_interpret.

    python -m tailflame.parse.heaptrack_raw [--suppressions FILE] RAW OUT
    python -m tailflame.parse.heaptrack_raw [--suppressions FILE] --all FOLDER

An interpreted file no longer tells which block was freed. So the temporary allocations are counted here, where it is
known, and kept in the interpreted file as comments, which heaptrack's own programs pass over (see ByPointer).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

from tailflame.errors import ParseError, TailflameError, ToolFailed, ToolMissing
from tailflame.model.leak_patterns import parse_suppressions
from tailflame.parse.heaptrack_file import POINTER_MARK
from tailflame.parse.heaptrack_lines import Blocks
from tailflame.parse.heaptrack_place import interpreter
from tailflame.parse.heaptrack_pointers import PointerCounts
from tailflame.parse.source import Source

_RAW = re.compile(rb"^v [0-9a-f]{1,8}(?: [0-9a-f]{1,8})?\r?\n(?:[XIS#A][^\n]*\n)*?[xm] ")
_STALLED_S = 120.0
"""How long heaptrack_interpret may take nothing in and not end: debug information of gigabytes takes half a minute."""
_LEVEL = 3


def is_raw(head: bytes) -> bool:
    """Whether a heaptrack file that begins so is a raw one: it names its program and modules with their places."""
    return _RAW.match(head) is not None


@contextlib.contextmanager
def interpreted(source: Source) -> Iterator[Source]:
    """The raw file `source` as an interpreted one, for as long as the block runs. Raises ToolMissing, ToolFailed."""
    with tempfile.TemporaryDirectory(prefix="tailflame-") as folder:
        made = Path(folder, "interpreted.zst")
        interpret(source, made)
        yield Source(made, progress=source.report)


def interpret(source: Source, out: Path, more: bytes = b"") -> int:
    """Writes the interpreted form of the raw file `source` to `out`, compressed with zstd; how many allocations it has.

    more: lines to put at its end. Raises ToolMissing, ToolFailed, ParseError.
    """
    program = interpreter()
    if program is None:
        raise ToolMissing(
            f"{source.name} is a raw file of heaptrack; heaptrack_interpret, which finds its names, is not installed.",
            advice="Install heaptrack, for instance with sudo apt install heaptrack, or open it where it was recorded.",
        )
    counts = PointerCounts()
    blocks = Blocks(source)
    with _Interpreter(program, out) as running:
        for block in blocks:
            counts.add(block)
            running.feed(block)
        running.finish(b"" if blocks.ended else POINTER_MARK + b"cut\n", counts.lines(), more)
    return counts.allocations


@dataclass(slots=True)
class _Interpreter:
    """heaptrack_interpret at work, its output compressed into a file. Leaving the block ends it, whatever happened."""

    program: Path
    out: Path
    child: subprocess.Popen[bytes] = field(init=False)
    errors: IO[bytes] = field(init=False)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    writer: threading.Thread = field(init=False)
    failure: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> _Interpreter:
        self.errors = self.stack.enter_context(tempfile.TemporaryFile())
        environment = {name: value for name, value in os.environ.items() if name != "DEBUGINFOD_URLS"}
        try:
            self.child = subprocess.Popen(
                [str(self.program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env={**environment, "LC_ALL": "C"},
            )
        except OSError as error:
            self.stack.close()
            raise ToolFailed(f"{self.program} does not start: {error.strerror}.") from error
        self.writer = threading.Thread(target=self._write, name="heaptrack-interpreted")
        self.writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        with contextlib.suppress(OSError):
            assert self.child.stdin is not None
            self.child.stdin.close()
        self.writer.join()
        self.stack.close()

    def feed(self, block: bytes) -> None:
        """Hands over whole lines; raises ToolFailed where they are not taken."""
        assert self.child.stdin is not None
        pipe = self.child.stdin.fileno()
        os.set_blocking(pipe, False)
        rest = memoryview(block)
        while rest:
            _, ready, _ = select.select([], [pipe], [], _STALLED_S)
            if not ready:
                raise ToolFailed(f"heaptrack_interpret took nothing in for {_STALLED_S:.0f} s and was ended.")
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.child.wait()
                raise self._failed() from None

    def finish(self, *more: bytes) -> None:
        """Waits for the rest, and puts `more` after it."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        deadline = time.monotonic() + _STALLED_S
        self.writer.join(_STALLED_S)
        try:
            code = self.child.wait(max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            raise ToolFailed(f"heaptrack_interpret did not end within {_STALLED_S:.0f} s and was ended.") from None
        if code:
            raise self._failed()
        if self.failure:
            raise self._unwritten(self.failure[0])
        try:
            with self.out.open("ab") as file:
                file.write(zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(more)))
        except OSError as error:
            raise self._unwritten(error) from error

    def _write(self) -> None:
        assert self.child.stdout is not None
        try:
            with self.child.stdout, self.out.open("wb") as file:
                zstandard.ZstdCompressor(level=_LEVEL).copy_stream(self.child.stdout, file)
        except (OSError, zstandard.ZstdError) as error:
            self.failure.append(error)
            self.child.kill()

    def _unwritten(self, error: BaseException) -> TailflameError:
        return ToolFailed(f"{self.out} cannot be written: {getattr(error, 'strerror', None) or error}.")

    def _failed(self) -> TailflameError:
        if self.failure:
            return self._unwritten(self.failure[0])
        self.errors.seek(0)
        words = self.errors.read(64 * 1024).decode("utf-8", "replace").strip()
        first = next((line.strip() for line in words.splitlines() if line.strip()), "")
        return ToolFailed(
            f"heaptrack_interpret failed with exit code {self.child.returncode}{f': {first}' if first else '.'}",
            advice="The raw file may be damaged: record again.",
            details=words,
        )


def main(*words: str) -> int:
    """The step after a recording: a raw file becomes an interpreted one, with --all each in a folder."""
    options = argparse.ArgumentParser(prog="heaptrack_raw", allow_abbrev=False)
    options.add_argument("--suppressions", type=Path)
    options.add_argument("--all", type=Path)
    options.add_argument("files", type=Path, nargs="*")
    asked = options.parse_args(words)
    rules = _rules(asked.suppressions) if asked.suppressions is not None else b""
    if asked.all is not None:
        # The program itself ends last, and its file is then the newest, as it was before.
        raws = sorted(asked.all.glob("*.raw"), key=lambda path: path.stat().st_mtime_ns)
        made = [_interpreted(raw, raw.with_suffix(".zst"), rules, keep_empty=len(raws) == 1) for raw in raws]
        return 0 if any(made) else 1
    raw, out = asked.files
    return 0 if _interpreted(raw, out, rules, keep_empty=True) else 1


def _rules(path: Path) -> bytes:
    """The suppressions of a file as heaptrack keeps those of a program: lines `S leak:PATTERN`."""
    try:
        patterns, _ = parse_suppressions(path.read_text(errors="backslashreplace"))
    except OSError as error:
        print(f"tailflame: {path} cannot be read: {error.strerror}. Nothing is suppressed.", file=sys.stderr)
        return b""
    return b"".join(b"S leak:%b\n" % pattern.encode() for pattern in patterns)


def _interpreted(raw: Path, out: Path, rules: bytes, *, keep_empty: bool) -> bool:
    """Whether `out` was made of `raw`, which is then gone: all that it held is in the new file, a fraction of its size.

    keep_empty: also where there are no allocations in it, as of a shell that starts a program and does nothing else.
    """
    made = out.with_name(f"{out.name}.part")
    try:
        calls = interpret(Source(raw), made, rules)
        if calls or keep_empty:
            made.replace(out)
    except (ParseError, ToolFailed, ToolMissing) as error:
        print(f"tailflame: {error}", file=sys.stderr)
        return False
    finally:
        made.unlink(missing_ok=True)
    raw.unlink(missing_ok=True)
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
