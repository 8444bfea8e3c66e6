"""The text that `perf script` prints (and simpleperf, which follows it): samples with their call chains.

A record is a header line, its frames innermost first, and an empty line. Samples without call chain stand on one
line each, without empty lines.
"""

from __future__ import annotations

import codecs
from array import array
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, FrameKind, Recording, SampleTable, Thread
from tailflame.model.stacks import readonly
from tailflame.parse.perf_chains import Chains, is_bare_frame, is_below
from tailflame.parse.perf_frames import frames_of
from tailflame.parse.perf_header import event_of, from_comments
from tailflame.parse.perf_records import Header, RecordLines, header_of, nanoseconds
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head, encoding_of

_OPEN_LIMIT = 4 * 1024 * 1024
"""Characters without an empty line after which a text is read line by line: it has no call chains, or endless ones."""
_COMMENTS = 5_000
_HEADERS = 20_000
_COOKIE = " (cookie) ([unknown])"
"""What perf 6.19 and later print in place of user frames that follow later ("DEFERRED CALLCHAIN")."""


def _is_of_hash(line: str) -> bool:
    """Whether a line that begins with "#" is a sample of a thread whose name does, not a comment."""
    header = header_of(line, frames_follow=False)
    return header is not None and header.tid != NONE and header.time_ns != NONE


@dataclass(slots=True)
class PerfText:
    """Reads the text piece by piece: `feed` it, then `finish`.

    Afterwards `comments` holds the lines that begin with "#", `records` what PERF_RECORD_* lines told, and
    `ignored` the number of lines that were not understood.
    """

    keep_addresses: bool = False
    encoding: str = "utf-8"
    comments: list[str] = field(default_factory=list)
    records: RecordLines = field(default_factory=RecordLines)
    ignored: int = 0
    first_ignored: str = ""
    completed: int = 0
    """Samples whose call chain perf discarded, and that got their function on top back."""

    _decoder: codecs.IncrementalDecoder | None = None
    _rest: str = ""
    _header: str | None = None  # of the record that is being read line by line
    _body: list[str] = field(default_factory=list)
    _chains: Chains = field(default_factory=Chains)
    _threads: dict[Thread, int] = field(default_factory=dict)
    _events: dict[str, int] = field(default_factory=dict)
    _with_period: set[int] = field(default_factory=set)
    _places: dict[str, tuple[int, int, int, dict[str, int]]] = field(default_factory=dict)
    """By a header's text before the time: (thread, cpu, root frame, chains known below that root)."""
    _headers: dict[str, Header] = field(default_factory=dict)
    """Headers without a time, which are the same for many samples."""
    _bare: array[int] = field(default_factory=lambda: array("i"))
    """Rows of samples without a single frame."""
    _waiting: dict[tuple[int, str], list[tuple[int, int, list[int]]]] = field(default_factory=dict)
    """Samples whose user frames are still to come, by (tid, cookie): (row, root frame, kernel frames)."""

    _stack: array[int] = field(default_factory=lambda: array("i"))
    _period: array[float] = field(default_factory=lambda: array("d"))
    _time: array[int] = field(default_factory=lambda: array("q"))
    _thread: array[int] = field(default_factory=lambda: array("i"))
    _cpu: array[int] = field(default_factory=lambda: array("i"))
    _event: array[int] = field(default_factory=lambda: array("i"))

    def __post_init__(self) -> None:
        self._chains.keep_addresses = self.keep_addresses

    def __len__(self) -> int:
        """Samples read so far."""
        return len(self._stack)

    @property
    def latest_ns(self) -> int:
        """Time of the sample that was read last; -1 where it is not known."""
        return self._time[-1] if self._time else NONE

    @property
    def bare_threads(self) -> frozenset[int]:
        """Ids of the threads that have samples without a single frame."""
        ids = [thread.tid for thread in self._threads]
        return frozenset(ids[self._thread[row]] for row in self._bare if self._thread[row] != NONE)

    def complete(self, tops: PerfSamples) -> None:
        """Gives samples without frames the one that the same sample has in `tops`."""
        rows = tops.samples
        known = {
            (tops.threads[thread].tid, time, tops.events[event].name): tops.frames[tops.stacks.frame[stack]]
            for thread, time, event, stack in zip(
                *(column.tolist() for column in (rows.thread, rows.time_ns, rows.event, rows.stack)), strict=True
            )
            if stack >= 0
        }
        threads, events = list(self._threads), list(self._events)
        for row in self._bare:
            thread = threads[self._thread[row]]
            top = known.get((thread.tid, self._time[row], events[self._event[row]]))
            if top is not None and top.kind is not FrameKind.OTHER:
                self._stack[row] = self._chains.add([self._chains.frame(top)], self._chains.root(thread.name))
                self.completed += 1

    def sibling(self) -> PerfText:
        """A reader of another part of the same text, to be joined by `join`: both number frames and stacks alike."""
        return PerfText(
            keep_addresses=self.keep_addresses,
            encoding=self.encoding,
            _chains=self._chains,
            _threads=self._threads,
            _events=self._events,
            _with_period=self._with_period,
            _places=self._places,
            _headers=self._headers,
        )

    def join(self, later: PerfText) -> None:
        """Adds what a sibling has read, behind what was read here. The sibling is of no use after it."""
        self._end()
        later._end()
        self._bare.extend([row + len(self) for row in later._bare])
        for name in ("_stack", "_period", "_time", "_thread", "_cpu", "_event"):
            getattr(self, name).extend(getattr(later, name))
        self.comments += later.comments
        self.records.mappings += later.records.mappings
        self.records.lost += later.records.lost
        self.first_ignored = self.first_ignored or later.first_ignored
        self.ignored += later.ignored

    def feed(self, data: bytes) -> None:
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(self.encoding)(errors="backslashreplace")
        self._take(self._decoder.decode(data))

    def finish(self) -> PerfSamples:
        """All that was read. The reader is of no use after it."""
        self._end()
        stacks, rows = self._chains.finish()
        samples = len(self._stack)
        return PerfSamples(
            frames=tuple(self._chains.frames),
            stacks=stacks,
            samples=SampleTable(
                stack=readonly(rows[np.asarray(self._stack, np.int64)], np.int32),
                count=readonly(np.ones(samples), np.float64),
                period=readonly(self._period, np.float64),
                time_ns=readonly(self._time, np.int64),
                thread=readonly(self._thread, np.int32),
                cpu=readonly(self._cpu, np.int32),
                event=readonly(self._event, np.int32),
            ),
            threads=tuple(self._threads),
            events=tuple(
                event_of(name, has_period=number in self._with_period) for name, number in self._events.items()
            ),
        )

    def _end(self) -> None:
        if self._decoder is not None:
            self._take(self._decoder.decode(b"", final=True))
            self._decoder = None
        rest, self._rest = self._rest, ""
        self._take_lines(rest.removesuffix("\n"))
        self._close()

    def cautions(self) -> tuple[Caution, ...]:
        if not self.ignored:
            return ()
        line = self.first_ignored if len(self.first_ignored) <= 60 else f"{self.first_ignored[:59]}…"
        what = "1 line was" if self.ignored == 1 else f"{self.ignored:,} lines were"
        return (
            Caution(
                f"{what} not understood and ignored (“{line}”).",
                "Check that the file was not cut or mixed with other output.",
            ),
        )

    def _take(self, text: str) -> None:
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        text = self._rest + text
        end = text.rfind("\n\n")
        if end >= 0:
            for block in text[:end].split("\n\n"):
                if self._header is not None or not self._take_block(block):
                    self._take_lines(block)
                    self._close()
            self._rest = text[end + 2 :]
        elif len(text) > _OPEN_LIMIT:
            end = text.rfind("\n")
            self._take_lines(text[:end] if end >= 0 else text)
            self._rest = text[end + 1 :] if end >= 0 else ""
        else:
            self._rest = text

    def _take_block(self, block: str) -> bool:
        """Reads a block that is one whole record; False, and nothing done, where it is not."""
        end = block.find("\n")
        if end <= 0:
            return False
        header, body = block[:end].rstrip(), block[end + 1 :]
        if self._take_known(header, body):
            return True
        if header[:1] in ("", "#", "\t") or "PERF_RECORD_" in header or not body.startswith("\t"):
            return False
        return self._take_record(header, body)

    def _take_known(self, header: str, body: str) -> bool:
        """Adds a sample whose header has nothing new in it, `who time: [period] event:[ frame]`, without taking it
        apart. False, and nothing done, where it is another."""
        has_frame = not header.endswith(":")
        colon = header.find(": ") if has_frame else header.rfind(": ")
        who = header.rfind(" ", 0, colon)
        place = self._places.get(header[:who])
        if place is None or colon < 0:
            return False
        words = header[colon + 2 :].split(None, 2)
        period = words.pop(0) if words and words[0].isdecimal() and len(words[0]) <= 20 else ""
        event = self._events.get(words[0][:-1]) if words else None
        if event is None or words[0][-1] != ":":
            return False
        thread, cpu, root, known = place
        if has_frame:
            # What has been taken for a frame once is one now; anything else may be a tracepoint's text.
            if body or len(words) < 2 or " ".join(words[1:]) not in known:
                return False
            body = " ".join(words[1:])
        stack = known.get(body)
        if stack is None:
            stack = self._chains.stack(body, root)
        else:
            self._chains.recurring.hit()
        if stack < 0 or body.endswith(_COOKIE):
            return False
        try:
            time = nanoseconds(header[who + 1 : colon])
        except ValueError:
            return False
        if not body:
            self._bare.append(len(self))
        if period:
            self._with_period.add(event)
        self._append(stack, float(period or 1), time, thread, cpu, event)
        return True

    def _take_lines(self, text: str) -> None:
        """The general way: any lines, of several records or of a part of one."""
        if not text:
            return
        for line in text.split("\n"):
            if line.startswith("\t"):
                if self._header is None:
                    self._header = ""  # -F ip,sym: chains without a header
                self._body.append(line)
            elif self._header and is_below(line) and not is_bare_frame(self._header):
                self._body.append(line)
            else:
                self._close()
                if line.startswith("#") and not _is_of_hash(line):
                    if len(self.comments) < _COMMENTS:
                        self.comments.append(line)
                elif line.strip() and ("PERF_RECORD_" not in line or not self.records.read(line)):
                    self._header = line

    def _close(self) -> None:
        """Ends the record that is open."""
        header, body = self._header, self._body
        if header is None:
            return
        self._header, self._body = None, []
        text = "\n".join(body)
        if self._take_known(header.rstrip(), text) or self._take_record(header.rstrip(), text):
            return
        frames = [line for line in body if not line.startswith("\t") or frames_of(line) is not None]
        if len(frames) < len(body):
            self._ignore(next(line for line in body if line not in frames), len(body) - len(frames))
            if self._take_record(header.rstrip(), "\n".join(frames)):
                return
        self._ignore(header, 1)

    def _take_record(self, line: str, body: str) -> bool:
        """Adds the sample that `line` begins; False, and nothing done, where it is none or its body no call chain."""
        header = self._headers.get(line)
        if header is None or not body:
            header = header_of(line.replace("\t", " "), frames_follow=bool(body))  # simpleperf has tabs
            if header is None:
                return False
            if body and header.time_ns == NONE and len(self._headers) < _HEADERS:
                self._headers[line] = header
        root = self._chains.root(header.comm)
        cookie = ""
        if body.endswith(_COOKIE):
            body, _, last = body.rpartition("\n")
            cookie = last.split()[0]
        if header.cookie:
            frames = self._chains.parsed(body)
            if frames is None:
                return False
            for row, waiting_root, inner in self._waiting.pop((header.tid, header.cookie), []):
                self._stack[row] = self._chains.add([*frames, *inner], waiting_root)
            return True
        if header.frame:
            body = f"{header.frame}\n{body}".rstrip()
        stack = self._chains.stack(body, root)
        if stack < 0:
            return False
        if not body and not cookie:
            self._bare.append(len(self))
        if cookie:
            inner = self._chains.parsed(body) or []
            self._waiting.setdefault((header.tid, cookie), []).append((len(self), root, inner))
        self._sample(line, header, stack, root)
        return True

    def _sample(self, line: str, header: Header, stack: int, root: int) -> None:
        """Adds a row, and remembers what the header said before its time for those that begin alike."""
        thread = NONE
        if header.comm or header.tid != NONE:
            sampled = Thread(header.comm, header.pid, header.tid)
            thread = self._threads.setdefault(sampled, len(self._threads))
        event = self._events.setdefault(header.event or "samples", len(self._events))
        if header.period is not None:
            self._with_period.add(event)
        period = 1.0 if header.period is None else float(header.period)
        self._append(stack, period, header.time_ns, thread, header.cpu, event)
        start, end = header.time_at
        colon = line.find(": ") if header.frame else line.rfind(": ")
        if header.event and colon == end and line[start - 1 : start] == " ":
            self._places[line[: start - 1]] = (thread, header.cpu, root, self._chains.known(root))

    def _append(self, stack: int, period: float, time: int, thread: int, cpu: int, event: int) -> None:
        self._stack.append(stack)
        self._period.append(period)
        self._time.append(time)
        self._thread.append(thread)
        self._cpu.append(cpu)
        self._event.append(event)

    def _ignore(self, line: str, lines: int) -> None:
        if not self.ignored:
            self.first_ignored = line.strip()
        self.ignored += lines


class PerfScript:
    name = "perf-script"
    title = "text of perf script"

    def sniff(self, head: bytes, name: str) -> float:
        if b"\0" in head[:512] and encoding_of(head) == "utf-8-sig":
            return NO
        text = decode_head(head)
        if len(head) >= 32 * 1024:
            text = text[: text.rfind("\n")]
        reader = PerfText()
        reader.feed(text.encode())
        found = reader.finish()
        if not len(reader):
            from_perf = any(line.startswith("# cmdline :") and "perf" in line for line in reader.comments)
            return 0.5 if from_perf else NO
        good = len(reader) / (len(reader) + reader.ignored)
        if good < 0.5 or not found.frames:
            return NO
        # Without event and time a header is any word above lines that begin with hex digits.
        certain = bool(found.samples.time_ns.max() >= 0) or any(e.name != "samples" for e in found.events)
        return (0.9 if certain else 0.4) * good + 0.05 * name.lower().startswith("perf")

    def load(self, source: Source) -> Recording:
        reader = PerfText(encoding=encoding_of(source.head))
        for chunk in source.chunks():
            reader.feed(chunk)
        found = reader.finish()
        if not len(reader):
            raise ParseError(
                f"{source.name} holds no samples.",
                source=source.name,
                advice="Look at what perf script wrote to its error output, or record for longer.",
                details=reader.first_ignored,
            )
        header = from_comments(reader.comments)
        lost = reader.records.lost or None
        recording = Recording(
            tool="perf",
            format=self.name,
            source=source.name,
            results=(found.profile(),),
            meta=header.meta(found.samples, lost=lost),
        )
        return recording.with_warnings(*reader.cautions())


PERF_SCRIPT = PerfScript()
