"""The node in a process that may not have a real-time priority, whoever starts it."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

PR_CAPBSET_DROP = 24
CAP_SYS_NICE = 23


def main() -> None:
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    # Root's capabilities are those of the bounding set at the next exec; others have none.
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_NICE, 0, 0, 0)
    os.execv(sys.executable, [sys.executable, "-m", "yolact_ros.ros", "node", *sys.argv[1:]])


if __name__ == "__main__":
    main()
