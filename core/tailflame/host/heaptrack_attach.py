"""heaptrack in a program that runs already: python -m tailflame.host.heaptrack_attach PID RAW FOLDER

gdb loads heaptrack's library (FOLDER/libheaptrack_inject.so) into the program and lets it write RAW. When this process
gets SIGINT or SIGTERM, or its starter dies, a second gdb takes the recording out again: the library stays loaded, as
heaptrack leaves it, because unloading it crashes programs, but nothing is recorded or slowed down any more.

heaptrack's own script does the same in a shell that does not run its trap on SIGINT (dash): the injection stays.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

INJECTED = "heaptrack: recording"
REMOVED = "heaptrack: taken out"

_DONE = "tailflame: done %d"

_GDB_S = 60.0
"""For gdb to load a library, or to take the recording out: it reads the program's symbols first."""
_LIBRARY = "libheaptrack_inject.so"
_LOOK_S = 0.5
_TRIES = 3
_TOO_EARLY = "No symbol"


# A thread that gdb stops in the middle of malloc or of heaptrack's own code holds a lock there, or has the heap in
# pieces: a library loaded at that moment ends the program (seen in every second try on one that does nothing but
# allocate). So it is first let out of there. gdb must know the libraries that stand on its way, to find its callers.
_SAFE_POINT = """
import gdb
parts = ("malloc", "calloc", "realloc", "free", "memalign", "valloc", "_int_", "tcache", "systrim", "arena")
def outermost():
    frame, found, depth = gdb.newest_frame(), None, 0
    while frame is not None and frame.is_valid() and depth < 48:
        name, library = frame.name() or "", gdb.solib_name(frame.pc()) or ""
        inside = "libheaptrack" in library or ("/libc" in library and (not name or any(p in name for p in parts)))
        found = frame if inside else found
        frame, depth = frame.older(), depth + 1
    return found
for _ in range(16):
    try:
        frame = outermost()
        if frame is None:
            break
        frame.select()
        gdb.execute("finish", to_string=True)
    except gdb.error as problem:
        print("safe point:", problem)
        break
"""
_AT_A_SAFE_POINT = (
    *(f"sharedlibrary {name}" for name in ("libc[.]so", "libc-", "ld-linux", "libunwind", "libgcc_s", "libstdc")),
    "sharedlibrary libheaptrack_inject",
    "handle SIGUSR1 SIGUSR2 SIGPIPE SIGHUP SIGTERM SIGQUIT nostop noprint pass",
    f"python exec({_SAFE_POINT!r})",
)


class Failed(Exception):
    """One sentence for the user, and what gdb said."""

    def __init__(self, sentence: str, words: str = "") -> None:
        super().__init__(sentence)
        self.words = words


def gdb_argv(pid: int, *commands: str) -> list[str]:
    """One gdb that attaches, runs `commands` and detaches. It reads no configuration and asks no server."""
    words = ["gdb", "--batch", "-n", "-iex", "set auto-solib-add off", "-iex", "set debuginfod enabled off"]
    words += ["-p", str(pid), "-ex", "set confirm off"]
    # gdb reads expressions in the language of the frame it stops in, and Rust knows no `void`.
    words += ["-ex", "set language c"]
    # A call that is given up leaves no half of itself on the program's stack.
    words += ["-ex", "set unwindonsignal on"]
    for command in commands:
        words += ["-ex", command]
    return [*words, "-ex", "detach"]


def inject_commands(load: str, raw: Path) -> tuple[str, ...]:
    """What loads the library and begins the recording. load: the call of dlopen that fits the program's C library."""
    return (
        *_AT_A_SAFE_POINT,
        f"call (void) {load}",
        "sharedlibrary libheaptrack_inject",
        _done(f"heaptrack_inject({quoted(str(raw))})"),
    )


def stop_commands() -> tuple[str, ...]:
    return (
        *_AT_A_SAFE_POINT,
        _done("heaptrack_stop()"),
    )


def _done(call: str) -> str:
    """A call, and a word where it was made: gdb goes on after an error. For a string it would allocate one there."""
    return f'printf "{_DONE}\\n", ((void) {call}, 1)'


def quoted(text: str) -> str:
    """A string of C, as gdb reads it."""
    return '"' + "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\{ord(c):03o}" for c in text) + '"'


class Attachment:
    """One recording of one program. `ask` is called by signals."""

    def __init__(self, pid: int, raw: Path, folder: Path) -> None:
        self._pid, self._raw, self._folder = pid, raw, folder
        self._asked = False
        self._program = os.pidfd_open(pid)

    def ask(self, *_: object) -> None:
        self._asked = True

    def run(self) -> None:
        """Until it is asked to stop, or the program ends. Raises Failed."""
        self._prepare_file()
        self._inject()
        print(INJECTED, file=sys.stderr, flush=True)
        while not self._asked and not self._ended(_LOOK_S):
            pass
        if not self._ended(0):
            self._stop()

    def _prepare_file(self) -> None:
        """The program itself opens it, as whoever it is."""
        owner = Path(f"/proc/{self._pid}").stat()
        descriptor = os.open(self._raw, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if owner.st_uid != os.geteuid():
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)

    def _inject(self) -> None:
        library = self._folder / _LIBRARY
        if not library.is_file():
            raise Failed(f"heaptrack's library {library} is not there.")
        commands = inject_commands(self._load(library), self._raw)
        words = self._gdb(commands)
        for _ in range(_TRIES):
            # A program that has just been started may not have loaded its C library yet.
            if _is_done(words) or _TOO_EARLY not in words or self._asked or self._ended(_LOOK_S):
                break
            words = self._gdb(commands)
        # The file is still empty where the program has not allocated since: heaptrack writes in blocks.
        if not _is_done(words):
            raise Failed(f"heaptrack could not be loaded into the program: {_reason(words)}", words)

    def _load(self, library: Path) -> str:
        """The call that loads it: heaptrack comes with a program that says it, as C libraries differ in it."""
        told = self._folder / "libexec/heaptrack_env"
        if os.access(told, os.X_OK):
            answer = subprocess.run(
                [told, "dlopen", library], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if answer.returncode == 0 and answer.stdout.strip():
                return answer.stdout.strip()
        return f"dlopen({quoted(str(library))}, 2)"

    def _stop(self) -> None:
        words = self._gdb(stop_commands())
        if not _is_done(words) and not self._ended(0):
            raise Failed(f"heaptrack could not be taken out of the program: {_reason(words)}", words)
        print(REMOVED, file=sys.stderr, flush=True)

    def _gdb(self, commands: tuple[str, ...]) -> str:
        """What gdb had to say. One that does not end is interrupted, so that it lets go of the program, then killed."""
        environment = {name: value for name, value in os.environ.items() if name != "DEBUGINFOD_URLS"}
        child = subprocess.Popen(
            gdb_argv(self._pid, *commands),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**environment, "LC_ALL": "C"},
            process_group=0,  # Ctrl-C in a terminal is ours to answer: gdb ends what it has begun
        )
        for how, patience in ((signal.SIGINT, _GDB_S), (signal.SIGKILL, _GDB_S / 4), (None, None)):
            try:
                words, _ = child.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                assert how is not None
                child.send_signal(how)
            else:
                return words
        raise AssertionError("unreachable")

    def _ended(self, wait_s: float) -> bool:
        """Whether the program has; signals end the waiting, as Python goes on to wait unless their handlers raise."""
        deadline = time.monotonic() + wait_s
        while not self._asked:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._program], [], [], max(min(left, 0.1), 0))
            if ready or left <= 0:
                return bool(ready)
        ready, _, _ = select.select([self._program], [], [], 0)
        return bool(ready)


def _is_done(words: str) -> bool:
    return (_DONE % 1) in words.splitlines()


def _reason(words: str) -> str:
    """The line of gdb's that says why."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    telling = [line for line in lines if any(sign in line for sign in _TELLING)]
    return (telling or lines or ["gdb says nothing"])[0].rstrip(".") + "."


_TELLING = (
    "ptrace",
    "No symbol",
    "No such process",
    "ERROR:",
    "Could not attach",
    "cannot",
    "Cannot",
    "signaled while",
    "not permitted",
)


def main(pid: str, raw: str, folder: str) -> int:
    try:
        attachment = Attachment(int(pid), Path(raw), Path(folder))
    except ProcessLookupError:
        print(f"heaptrack: there is no process {pid}.", file=sys.stderr)
        return 1
    signal.signal(signal.SIGINT, attachment.ask)
    signal.signal(signal.SIGTERM, attachment.ask)
    try:
        attachment.run()
    except Failed as problem:
        print(problem.words, end="", file=sys.stderr)
        print(f"heaptrack: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"heaptrack: {problem.filename or raw}: {problem.strerror}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
