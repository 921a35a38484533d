"""``python -m faltung.files.worker``: computes the runs that its parent hands it, and says when each region is done."""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress

from faltung.errors import FaltungError, FileError
from faltung.files.memory import few_arenas
from faltung.files.session import in_this_process


def main() -> None:
    """Work until all is done, something fails, or the parent is gone."""
    _die_with_parent()
    few_arenas()
    # Whatever else prints must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(kind: str, what: object) -> None:
        answers.write(pickle.dumps((kind, what)))
        answers.flush()

    task, runs = pickle.load(sys.stdin.buffer)
    try:
        for region in in_this_process(task, runs):
            say("region", region)
        say("end", None)
    except BrokenPipeError:
        return
    except (FaltungError, MemoryError) as error:
        # Causes may not be picklable.
        say("error", type(error)(*error.args))
    except Exception as error:
        say("error", FileError(f"{type(error).__name__}: {error}"))


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that a resumed job has the output to itself."""
    if sys.platform == "linux":
        import ctypes
        import signal

        set_death_signal = 1
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main()
