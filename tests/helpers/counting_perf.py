"""A perf on a machine whose processor has counters: it says that they work, and replays a recording of them.

What is recorded is counters.data of tests/data/perf (see its NOTE), while the program runs; everything else is asked of
the real perf. The arguments of each call stand in the file that COUNTING_PERF_LOG names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.environment import DATA

FOLDER = DATA / "perf" / "6.1.187"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
EVENTS = ("cycles", "instructions", "cache-misses", "branch-misses")


def install(folder: Path) -> dict[str, str]:
    """Puts it and the recorded program into `folder`; returns the environment in which it is perf."""
    real = shutil.which("perf")
    assert real is not None
    (folder / "bin").mkdir(parents=True)
    stand_in = folder / "bin" / "perf"
    lines = (f"#!{sys.executable}", "import sys", f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})",
             "from helpers.counting_perf import main", "sys.exit(main())", "")  # fmt: skip
    stand_in.write_text("\n".join(lines))
    stand_in.chmod(0o755)
    shelf = folder / ".debug/.build-id" / BUILD_ID[:2] / BUILD_ID[2:]
    shelf.mkdir(parents=True)
    shutil.copy(FOLDER / "spin", shelf / "elf")
    shutil.copy(FOLDER / "spin", folder / "spin")
    (folder / "spin").chmod(0o755)
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "COUNTING_PERF_REAL": real,
        "COUNTING_PERF_LOG": str(folder / "calls.jsonl"),
    }


def calls(folder: Path) -> list[list[str]]:
    """The arguments of every call so far."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def main() -> int:
    real, words = os.environ["COUNTING_PERF_REAL"], sys.argv[1:]
    with Path(os.environ["COUNTING_PERF_LOG"]).open("a") as log:
        log.write(json.dumps(words) + "\n")
    if words[0] == "stat":
        done = subprocess.run([real, *words], capture_output=True, text=True, check=False)
        sys.stderr.write(done.stderr.replace("<not supported>", "1000"))
        return done.returncode
    if words[0] == "record":
        return record(words)
    os.execv(real, [real, *words])


def record(words: list[str]) -> int:
    if "lbr" in words:
        print("Error:\ncycles: PMU Hardware or event type doesn't support branch stack sampling.", file=sys.stderr)
        return 255
    out, command = words[words.index("-o") + 1], words[words.index("--") + 1 :]
    ended = subprocess.run(command, check=False)
    shutil.copy(FOLDER / "counters.data", out)
    print("[ perf record: Woken up 1 times to write data ]", file=sys.stderr)
    print("[ perf record: Captured and wrote 0.258 MB perf.data (2655 samples) ]", file=sys.stderr)
    return ended.returncode
