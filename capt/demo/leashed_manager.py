"""`python -m capt.demo.leashed_manager FLAGS`: a manager that stops when whoever started it is gone.

A demo that is killed can tell its manager nothing any more. But the pipe on the manager's standard input, which only the
demo holds the other end of, ends with the demo, however that ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from capt.manager import main

_STDIN = 0


def _stop_at_end_of_input() -> None:
    while os.read(_STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_at_end_of_input, name="leash", daemon=True).start()
    sys.exit(main())
