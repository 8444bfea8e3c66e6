"""A stand-in for `perf stat` that replays a log of intervals in the time that is asked for.

`install` puts it somewhere as a program. It answers the probe (`stat -x ';' -e … -- true`) and counts a process
(`stat -j -I MS -e … -p PID --log-fd 1`) until that ends or it is interrupted, beginning anew at the log's end. As perf
does, it fails as a whole where a group holds an event that the log has not, and where there is no such process.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

LOG = Path(__file__).resolve().parents[1] / "data" / "perf-stat" / "made-up" / "hardware.jsonl"
"""Made up: see the NOTE beside it."""

REFUSAL = """\
Error:
Access to performance monitoring and observability operations is limited.
Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open
access to performance monitoring and observability operations for processes
without CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.
"""


def install(folder: Path, *, log: Path = LOG, refuse: bool = False) -> str:
    """A program in `folder`; its path. refuse: as for a user who may not."""
    path = folder / "perf"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from fake_perf_stat import main\nmain({str(log)!r}, {refuse!r})\n"
    )
    path.chmod(0o755)
    return str(path)


def main(log: str, refuse: bool) -> None:
    args = sys.argv[1:]
    if args[:1] == ["version"]:
        print("perf version 6.1.0")
        return
    if refuse:
        sys.stderr.write(REFUSAL)
        sys.exit(255)
    wanted = args[args.index("-e") + 1]
    rows = [json.loads(line) for line in Path(log).read_text().splitlines()]
    dead = {row["event"] for row in rows if row["counter-value"] == "<not supported>"}
    events = wanted.replace("{", "").replace("}:W", "").split(",")
    for name in events:
        if name not in {row["event"] for row in rows}:
            sys.stderr.write(f"event syntax error: '{name}'\n                     \\___ parser error\n")
            sys.exit(129)
    for group in wanted.split("{")[1:]:
        for name in group.partition("}")[0].split(","):
            if name in dead:
                sys.stderr.write(f"Error:\nThe {name} event is not supported.\n")
                sys.exit(255)
    if "-p" not in args:
        for name in events:
            value = "<not supported>" if name in dead else "1"
            sys.stderr.write(f"{value};;{name};1000;100.00;;\n")
        return
    count(rows, events, int(args[args.index("-p") + 1]), int(args[args.index("-I") + 1]) / 1000)


def count(rows: list[dict[str, object]], events: list[str], pid: int, length_s: float) -> None:
    interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda *_: interrupted.append(1))
    if not alive(pid):
        sys.stderr.write("Problems finding threads of monitor\n\n Usage: perf stat [<options>] [<command>]\n")
        sys.exit(234)
    intervals: dict[object, list[dict[str, object]]] = {}
    for row in rows:
        intervals.setdefault(row["interval"], []).append(row)
    order = list(intervals.values())
    began, at = time.monotonic(), 0
    while not interrupted and alive(pid):
        due = began + (at + 1) * length_s
        while (left := due - time.monotonic()) > 0 and not interrupted:
            time.sleep(min(left, 0.05))
        stamp = time.monotonic() - began
        by_event = {row["event"]: row for row in order[at % len(order)]}
        for name in events:
            print(json.dumps({**by_event[name], "interval": round(stamp, 9)}))
        sys.stdout.flush()
        at += 1


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
