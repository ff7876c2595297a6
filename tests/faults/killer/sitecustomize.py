"""Loaded by every Python that has this folder on PYTHONPATH: kills the process once, at a named point.

``MMBENCH_TEST_KILL`` is ``function:part of the path:before|after`` of a call of the ``os`` module, and
``MMBENCH_TEST_KILL_ONCE`` the file that says it has happened.
"""

import os
import signal

if point := os.environ.get("MMBENCH_TEST_KILL"):
    name, fragment, when = point.split(":")
    original = getattr(os, name)

    def die():
        try:
            os.close(os.open(os.environ["MMBENCH_TEST_KILL_ONCE"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def patched(first, *rest, **options):
        path = os.readlink(f"/proc/self/fd/{first}") if name == "fsync" else os.fspath(rest[0])
        if fragment in path and when == "before":
            die()
        done = original(first, *rest, **options)
        if fragment in path and when == "after":
            die()
        return done

    setattr(os, name, patched)
