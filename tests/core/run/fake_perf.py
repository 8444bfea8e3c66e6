"""A perf that does what a test wants: starts the target, writes a file of two samples, ends as the real one does.

FAKE_PERF chooses: good, refuse (never starts it), hang (waits for SIGINT after the target), deaf (waits for SIGKILL),
full (the disk fills up at once), mute (the same, but its words find no room either), slow (starts the target late),
grind (works on for a second after the target).
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time


def write(path: str, *, finished: bool) -> None:
    records = struct.pack("<IHH", 9, 1, 48) + bytes(40)
    size = len(records) * 2 if finished else 0
    head = struct.pack("<8s6Q", b"PERFILE2", 104, 144, 136, 64, 200, size).ljust(200, b"\0")
    with open(path, "wb") as file:
        file.write(head + records * 2 + (b"" if finished else records[:10]))


def main() -> None:
    mode = os.environ.get("FAKE_PERF", "good")
    at = sys.argv.index("--")
    out, command = sys.argv[at - 1], sys.argv[at + 1 :]
    if mode == "refuse":
        sys.exit("Error:\nThe cycles event is not supported.")
    interrupted = []
    signal.signal(signal.SIGINT, signal.SIG_IGN if mode == "deaf" else lambda *_: interrupted.append(1))
    if mode == "slow":
        time.sleep(0.3)
    target = subprocess.Popen(command)
    write(out, finished=False)
    if mode in ("full", "mute"):
        if mode == "full":
            print("failed to write perf data, error: No space left on device", file=sys.stderr)
        target.terminate()
        target.wait()
        sys.exit(255)
    while target.poll() is None and not interrupted:
        time.sleep(0.01)
    if target.poll() is None:
        target.terminate()
        target.wait()
    while mode in ("hang", "deaf") and not interrupted:
        time.sleep(0.01)
    while mode == "grind" and time.process_time() < 1.0:
        pass
    write(out, finished=True)
    print("[ perf record: Captured and wrote 0.001 MB (2 samples) ]", file=sys.stderr)
    if target.returncode < 0:
        if target.returncode != -signal.SIGKILL:
            signal.signal(-target.returncode, signal.SIG_DFL)
        os.kill(os.getpid(), -target.returncode)
    sys.exit(target.returncode)


main()
