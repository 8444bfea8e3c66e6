"""What `make run` does once everything is set up: the window on the demo, or the same job without a display.

Without a display the demo target is recorded, the top hotspots and percentiles are printed, and the flame graph (SVG),
a screenshot of the window and the session folder are left in profiles/. Where there is no cargo, perf or permission,
the recorded sample session is opened instead, and that is said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def main() -> int:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return subprocess.run([str(BIN / "tailflame-gui"), "--demo"], check=False, cwd=ROOT).returncode
    print("No display: the demo runs offscreen.", flush=True)
    report = ROOT / "profiles" / "demo.json"
    report.parent.mkdir(exist_ok=True)
    environ = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    environ.setdefault("TAILFLAME_PROFILES", str(report.parent))
    done = subprocess.run([str(BIN / "tailflame"), "demo", "--report", str(report)], check=False, cwd=ROOT, env=environ)
    if done.returncode:
        return done.returncode
    session = json.loads(report.read_text())["session"]["path"]
    picture = Path(session) / "window.png" if os.access(session, os.W_OK) else report.with_name("window.png")
    shot = [str(BIN / "tailflame-gui"), "--screenshot", str(picture), session]
    done = subprocess.run(shot, check=False, cwd=ROOT, env=environ)
    if done.returncode == 0:
        print(f"window         {picture}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
