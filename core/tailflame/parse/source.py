"""A file to read: decompressed on the fly, decoded, never whole in memory, with progress and cancel."""

from __future__ import annotations

import bz2
import codecs
import lzma
import os
import pwd
import shlex
import stat
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

import zstandard

from tailflame.errors import ParseError
from tailflame.model import Recording
from tailflame.units import size as size_text

Progress: TypeAlias = Callable[[float], None]
"""Called with the share of the file that is read, 0 to 1; raises Cancelled to stop the reading."""

Early: TypeAlias = Callable[[Recording], None]
"""Called, in the reader's thread, with a recording that can be shown already: symbols, but no inlined functions yet."""

HEAD = 64 * 1024
CHUNK = 1024 * 1024
LINE_LIMIT = 64 * 1024 * 1024
"""Longest line, characters. Ten thousand frames of long names make about 1 MB: only a wrong file has more."""

BOMB_SIZE = 256 * 1024 * 1024
BOMB_RATIO = 400
"""Above BOMB_SIZE of output, a ratio beyond this is refused. Recorded stacks reach 20 to 150 : 1; gzip ends
at 1032 : 1, others go far beyond."""
RUN_LIMIT = 4 * 1024 * 1024
"""Most of one and the same byte in a row that a compressed file may unpack to. No result holds such a run, whatever its
ratio; the ratio alone does not tell: of a program that allocates and frees in a loop heaptrack writes 7,700 : 1."""
OUTPUT_LIMIT = 256 * 1024**3
"""Most that a compressed file may unpack to: `perf script` has made 158 GB of a 9 GB perf.data."""

PACKED = 256 * 1024
"""Compressed bytes that are read at once: few enough that what is read and what came out of it stay close."""

XZ_MEMORY = 1024**3

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
_SUFFIXES = (".gz", ".zst", ".zstd", ".xz", ".bz2")


class Source:
    """One input file. Each of `chunks`, `lines` and `line_blocks` starts again from the file's beginning.

    path: the file; name: as the user named it; head: its first 64 KiB, decompressed; size: bytes on disk;
    compression: "", "gzip", "zstd", "xz" or "bzip2".
    Raises ParseError where the file cannot be opened, is empty, or does not unpack.
    """

    def __init__(self, path: Path, *, progress: Progress | None = None, early: Early | None = None) -> None:
        self.path = path
        self.name = str(path)
        self._progress = progress
        self._early = early
        with _opened(path) as raw:
            self.size = os.fstat(raw.fileno()).st_size
            if not self.size:
                raise ParseError(
                    f"{self.name} is empty.",
                    source=self.name,
                    advice="The tool that made it stopped before it wrote anything: look at its messages.",
                )
            magic = raw.read(8)
        self.compression = next((kind for mark, kind in _MAGIC if magic.startswith(mark)), "")
        if magic[1:4] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:
            self.compression = "zstd"  # a skippable frame, as pzstd writes first
        self.head = self._read_head()
        if not self.head:
            raise ParseError(f"{self.name} is compressed, and empty inside.", source=self.name)

    @property
    def bare_name(self) -> str:
        """The file's name without folders and compression suffixes: "out.folded" for "/tmp/out.folded.gz"."""
        name = self.path.name
        while self.compression and name.lower().endswith(_SUFFIXES):
            name = name[: name.rindex(".")]
        return name

    def chunks(self, n: int = CHUNK) -> Iterator[bytes]:
        """The decompressed bytes in pieces of at most `n`, none empty. Reports progress after each piece."""
        with _opened(self.path) as raw:
            yield from self._watched(raw, self._unpacked(raw, n))

    def line_blocks(self) -> Iterator[list[str]]:
        """Lines in blocks, without their ends (LF or CRLF): the fast way to read many."""
        decoder = codecs.getincrementaldecoder(encoding_of(self.head))(errors="backslashreplace")
        pending: list[str] = []  # pieces of a line whose end is not yet read
        held = 0
        number = 0
        for chunk in self.chunks():
            text = decoder.decode(chunk)
            end = text.rfind("\n")
            if end >= 0:
                pending.append(text[: end + 1])
                whole = "".join(pending)
                if "\r" in whole:
                    whole = whole.replace("\r\n", "\n")
                block = whole[:-1].split("\n")
                number += len(block)
                yield block
                pending, held = [], 0
            pending.append(text[end + 1 :])
            held += len(pending[-1])
            if held > LINE_LIMIT:
                raise self._endless(number)
        rest = "".join(pending) + decoder.decode(b"", final=True)
        if rest:
            yield [rest.removesuffix("\r")]

    def byte_blocks(self, n: int = CHUNK) -> Iterator[bytes]:
        """Whole lines in blocks of UTF-8 of some `n` bytes, each with its end (LF): for readers that work on bytes."""
        encoding = encoding_of(self.head)
        decoder = None if encoding == "utf-8-sig" else codecs.getincrementaldecoder(encoding)(errors="backslashreplace")
        pieces: list[bytes] = []  # of a line whose end is not yet read
        held = 0
        for number, chunk in enumerate(self.chunks(n)):
            if decoder is not None:
                chunk = decoder.decode(chunk).encode()
            elif not number:
                chunk = chunk.removeprefix(codecs.BOM_UTF8)
            end = chunk.rfind(b"\n") + 1
            if end:
                block = b"".join((*pieces, chunk[:end]))
                if b"\r" in block:
                    block = block.replace(b"\r\n", b"\n")
                yield block
                pieces, held = [], 0
            pieces.append(chunk[end:])
            held += len(pieces[-1])
            if held > LINE_LIMIT:
                raise self._endless(sum(chunk.count(b"\n") for chunk in islice(self.chunks(n), number + 1)))
        if decoder is not None:
            pieces.append(decoder.decode(b"", final=True).encode())
        rest = b"".join(pieces).removesuffix(b"\r")
        if rest:
            yield rest + b"\n"

    def lines(self) -> Iterator[str]:
        """Lines without their ends. Undecodable bytes become \\xNN, so that distinct names stay distinct."""
        for block in self.line_blocks():
            yield from block

    def report(self, share: float) -> None:
        """Reports progress for a reader that does not read through `chunks`; raises Cancelled to stop it."""
        if self._progress is not None:
            self._progress(min(max(share, 0.0), 1.0))

    @property
    def wants_early(self) -> bool:
        """Whether somebody waits for a first picture."""
        return self._early is not None

    def offer(self, recording: Recording) -> None:
        """Hands out a first picture that is right as far as it goes, while the reader goes on to refine it."""
        if self._early is not None:
            self._early(recording)

    def text(self, limit: int) -> str:
        """The whole text. ParseError if it has more than `limit` bytes."""
        parts: list[bytes] = []
        held = 0
        for chunk in self.chunks():
            held += len(chunk)
            if held > limit:
                raise ParseError(f"{self.name} holds more than {size_text(limit)}.", source=self.name)
            parts.append(chunk)
        return b"".join(parts).decode(encoding_of(self.head), errors="backslashreplace").replace("\r\n", "\n")

    def _endless(self, lines: int) -> ParseError:
        return ParseError(
            f"Line {lines + 1} of {self.name} is longer than {size_text(LINE_LIMIT)}.",
            source=self.name,
            line=lines + 1,
            advice="This is hardly a text of stacks: check that it is the file you mean.",
        )

    def _read_head(self) -> bytes:
        head = b""
        with _opened(self.path) as raw:
            try:
                for chunk in self._unpacked(raw, HEAD):
                    head += chunk
                    if len(head) >= HEAD:
                        break
            except ParseError as error:
                # What is cut short may be shown as far as it goes: that is for the format to say.
                if not head or not isinstance(error.__cause__, EOFError):
                    raise
        return head[:HEAD]

    def _watched(self, raw: BinaryIO, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            if self._progress is not None:
                self._progress(min(raw.tell() / self.size, 1.0) if self.size else 1.0)

    def _unpacked(self, raw: BinaryIO, n: int) -> Iterator[bytes]:
        match self.compression:
            case "gzip":
                pieces = _gunzip(raw, n)
            case "xz":
                pieces = _unpack(raw, n, lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY))
            case "bzip2":
                pieces = _unpack(raw, n, bz2.BZ2Decompressor)
            case "zstd":
                pieces = _unzstd(raw, n)
            case _:
                yield from iter(lambda: raw.read(n), b"")
                return
        yield from self._guarded(raw, pieces)

    def _bomb(self, what: str) -> ParseError:
        return ParseError(
            f"{self.name} unpacks to more than {what}: reading it was stopped.",
            source=self.name,
            advice="If you trust the file, unpack it first and open the unpacked one.",
        )

    def _guarded(self, raw: BinaryIO, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Turns a decompressor's failures into sentences, and refuses what unpacks without end."""
        out = run = 0
        repeated = b""
        try:
            for piece in pieces:
                out += len(piece)
                read = max(raw.tell(), 1)
                if (out > BOMB_SIZE and out > BOMB_RATIO * read) or out > OUTPUT_LIMIT:
                    raise self._bomb(f"{size_text(out)} from {size_text(read)}")
                before, repeated = repeated, _repeated(piece)
                run = len(piece) + (run if repeated == before else 0) if repeated else 0
                if run > RUN_LIMIT:
                    raise self._bomb(f"{size_text(RUN_LIMIT)} of one byte repeated")
                yield piece
        except EOFError as error:
            raise ParseError(
                f"{self.name} is cut short: its {self.compression} data ends too early.",
                source=self.name,
                advice="Copy or record it again.",
            ) from error
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, MemoryError) as error:
            raise ParseError(
                f"{self.name} does not unpack: its {self.compression} data is damaged or of an unusual kind.",
                source=self.name,
                advice="Copy it again, or unpack it with the tool that made it.",
                details=str(error),
            ) from error


def encoding_of(head: bytes) -> str:
    """The codec for a text that begins with `head`: UTF-16 by its mark or its zero bytes, otherwise UTF-8."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:512]
    if len(sample) >= 8 and b"\0" in sample:
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        if odd * 4 > len(sample) and not even:
            return "utf-16-le"
        if even * 4 > len(sample) and not odd:
            return "utf-16-be"
    return "utf-8-sig"


def decode_head(head: bytes) -> str:
    """`head` as text with LF line ends, for sniffing; its last character may be half of one."""
    return head.decode(encoding_of(head), errors="backslashreplace").replace("\r\n", "\n")


def _opened(path: Path) -> BinaryIO:
    """The regular file at `path`, or a ParseError that says why not."""
    name = str(path)
    try:
        # Not blocking: opening a pipe without a writer would wait for one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ParseError(
            f"There is no file {name}.",
            source=name,
            advice="Check the path; it may have been moved or deleted.",
        ) from None
    except PermissionError:
        sentence = f"You may not read {name}{_owner(path)}."
        raise ParseError(sentence, source=name, advice=_way_in(path)) from None
    except OSError as error:
        raise ParseError(f"{name} cannot be opened: {error.strerror}.", source=name) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise ParseError(f"{name} is a folder, not a file.", source=name, advice="Choose a result file inside it.")
        raise ParseError(
            f"{name} is a device or a pipe, not a file.",
            source=name,
            advice="Save its output to a file and open that.",
        )
    return os.fdopen(descriptor, "rb", buffering=CHUNK)


def _owner(path: Path) -> str:
    try:
        uid = path.stat().st_uid
    except OSError:
        return ""  # a folder above it is closed: nothing is known of the file
    if uid == os.geteuid():
        return ""
    try:
        return f": it belongs to {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f": it belongs to user {uid}"


def _way_in(path: Path) -> str:
    try:
        own = path.stat().st_uid == os.geteuid()
    except OSError:
        return f"Look at the permissions of the folders above it: namei -l {shlex.quote(str(path))}"
    word = shlex.quote(str(path))
    if own:
        return f"Allow it: chmod u+r {word}"
    return f"Make it yours: sudo chown $USER {word} (or allow reading: sudo chmod a+r {word})"


def _repeated(piece: bytes) -> bytes:
    """The byte that `piece` holds nothing else than; b"" where there are others, which its beginning mostly tells."""
    first = piece[:1]
    return first if not piece[:64].strip(first) and not piece.strip(first) else b""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _unpack(raw: BinaryIO, n: int, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """bzip2 or xz, several streams in a row, at most `n` bytes at a time."""
    unpacker = make()
    data = raw.read(PACKED)
    while True:
        piece = unpacker.decompress(data, n)
        data = b""
        if piece:
            yield piece
        if unpacker.eof:
            data = unpacker.unused_data.lstrip(b"\0") or raw.read(PACKED).lstrip(b"\0")
            if not data:
                return
            unpacker = make()
        elif unpacker.needs_input:
            data = raw.read(PACKED)
            if not data:
                raise EOFError


def _gunzip(raw: BinaryIO, n: int) -> Iterator[bytes]:
    """gzip, several members in a row, at most `n` bytes at a time."""
    unpacker = zlib.decompressobj(wbits=31)
    data = raw.read(PACKED)
    while True:
        piece = unpacker.decompress(data, n)
        data = unpacker.unconsumed_tail
        if piece:
            yield piece
        if unpacker.eof:
            # Padding with zeros is usual on tapes and block devices.
            data = unpacker.unused_data.lstrip(b"\0") or raw.read(PACKED).lstrip(b"\0")
            if not data:
                return
            unpacker = zlib.decompressobj(wbits=31)
        elif not data and not piece:
            data = raw.read(PACKED)
            if not data:
                raise EOFError
        elif not data:
            data = raw.read(PACKED)
            # At the end of the file the unpacker may still hold output: ask again with nothing.


def _unzstd(raw: BinaryIO, n: int) -> Iterator[bytes]:
    """zstd, several frames in a row, at most `n` bytes at a time."""
    reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)
    yield from iter(lambda: reader.read(n), b"")
    # The reader takes the end of the file for the end of the data: see whether the last frame is whole.
    raw.seek(0)
    if not _zstd_is_whole(raw):
        raise EOFError


def _zstd_is_whole(raw: BinaryIO) -> bool:
    """Walks the frames' block headers (RFC 8878, 3.1.1) without unpacking anything."""
    size = os.fstat(raw.fileno()).st_size
    while mark := raw.read(4):
        if len(mark) == 4 and 0x184D2A50 <= int.from_bytes(mark, "little") <= 0x184D2A5F:
            raw.seek(int.from_bytes(raw.read(4), "little"), os.SEEK_CUR)  # skippable frame
            continue
        descriptor = raw.read(1)
        if not descriptor:
            return False
        flags = descriptor[0]
        single_segment = flags >> 5 & 1
        content_size = (single_segment, 2, 4, 8)[flags >> 6]
        dictionary_id = (0, 1, 2, 4)[flags & 3]
        raw.seek(1 - single_segment + dictionary_id + content_size, os.SEEK_CUR)
        last = False
        while not last:
            header = raw.read(3)
            if len(header) < 3:
                return False
            block = int.from_bytes(header, "little")
            last = bool(block & 1)
            is_run = block >> 1 & 3 == 1  # one byte, repeated
            raw.seek(1 if is_run else block >> 3, os.SEEK_CUR)
        raw.seek(4 * (flags >> 2 & 1), os.SEEK_CUR)  # checksum
    return raw.tell() <= size
