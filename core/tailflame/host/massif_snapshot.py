"""Asks massif for a snapshot at a path with blanks: python -m tailflame.host.massif_snapshot PID FILE

valgrind takes what its debugger is told apart at blanks, and knows no quotes: "detailed_snapshot /home/me/my runs/x"
makes a file /home/me/my. So massif writes it elsewhere, and it is moved.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PLAIN_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def main(argv: list[str]) -> int:
    pid, wanted = argv
    folder = next((place for place in PLAIN_FOLDERS if Path(place).is_dir()), None)
    with tempfile.TemporaryDirectory(prefix="tailflame-", dir=folder) as plain:
        snapshot = Path(plain, "snapshot")
        asked = subprocess.run(["vgdb", f"--pid={pid}", "detailed_snapshot", str(snapshot)], check=False)
        if snapshot.is_file():
            shutil.move(snapshot, wanted)
    return asked.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
