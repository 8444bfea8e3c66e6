import sys
import threading
import time


def spin() -> None:
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        sum(range(1000))


thread = threading.Thread(target=spin, name="worker")
thread.start()
spin()
thread.join()
