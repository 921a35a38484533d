"""Forks, interrupts, the interpreter's exit and spawned processes leave the pool usable and the answers right."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# What the child processes share. Whole numbers: sums of shifted copies are exact in any order.
COMMON = """
import os, signal, sys, threading, time
import numpy as np
import faltung as ft
from faltung.runtime import threads

def problem(rows=900, columns=1100, taps=5):
    rng = np.random.default_rng(rows)
    x = rng.integers(0, 9, (rows, columns)).astype(np.float32)
    kernel = rng.integers(-4, 5, (taps, taps)).astype(np.float32)
    shape = (rows - taps + 1, columns - taps + 1)
    want = sum(kernel[i, j] * x[i:i + shape[0], j:j + shape[1]] for i in range(taps) for j in range(taps))
    return x, kernel, want

def check(x, kernel, want, convolution=None, count=2):
    convolution = convolution or ft.Convolution(kernel, flip=False, mode="valid")
    assert (convolution(x, threads=count) == want).all()

def in_child(work, seconds=20):
    \"\"\"Fork; the child must do the work in time.\"\"\"
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
            work()
        except BaseException as error:
            print("child:", repr(error), file=sys.stderr, flush=True)
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status != 0:
        print("child status", status, file=sys.stderr, flush=True)
        os._exit(1)
"""


def python(script: str, *, cold: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script; newer Pythons warn about every fork with threads, which is the point here."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore::DeprecationWarning", "FALTUNG_THREADS": "2"}
    if cold:
        environment["FALTUNG_CACHE"] = "0"
    return subprocess.run(
        [sys.executable, "-c", COMMON + script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def assert_quiet(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


FORKS = {
    "before use": "in_child(lambda: check(*problem()))\ncheck(*problem())",
    "after use": """
check(*problem())
for _ in range(5):
    in_child(lambda: check(*problem()))
check(*problem())
""",
    "of a fork": """
check(*problem())
in_child(lambda: (check(*problem()), in_child(lambda: check(*problem())), check(*problem())))
""",
    "while others convolve": """
x, kernel, want = problem()
shared = ft.Convolution(kernel, flip=False, mode="valid")
check(x, kernel, want, shared)
stop = threading.Event()
def loop(count):
    while not stop.is_set():
        check(x, kernel, want, shared, count)
others = [threading.Thread(target=loop, args=(n,)) for n in (1, 2, 2)]
for thread in others:
    thread.start()
other = problem(700, 800, 4)
for _ in range(25):
    in_child(lambda: (check(x, kernel, want, shared), check(*other)))
stop.set()
for thread in others:
    thread.join()
check(x, kernel, want, shared)
""",
    "while others describe": """
for boundary in (None, "wrap"):
    ft.correlate(np.ones(8, np.float32), np.ones(3, np.float32), boundary=boundary)  # compiled from here on
stop = threading.Event()
def loop():
    seed = 0
    while not stop.is_set():
        seed += 1
        ft.correlate(np.ones(8, np.float32), np.full(3, seed, np.float32))
others = [threading.Thread(target=loop) for _ in range(3)]
for thread in others:
    thread.start()
for turn in range(80):
    kernel = np.full(3, -1.0 - turn, np.float32)
    def work():
        assert ft.correlate(np.ones(8, np.float32), kernel, boundary="wrap")[0] == 3 * kernel[0]
    in_child(work, seconds=5)
stop.set()
for thread in others:
    thread.join()
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("when", FORKS)
def test_a_forked_child_convolves(when: str) -> None:
    assert_quiet(python(FORKS[when]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_forked_while_another_thread_compiles() -> None:
    script = """
from faltung.compiler import kernels
if not kernels.available():
    sys.exit()
compile_object, inside = kernels.compile_object, threading.Event()
def announced(nest, isa):
    inside.set()
    time.sleep(0.05)
    return compile_object(nest, isa)
kernels.compile_object = announced
given = [problem(60, 70, taps) for taps in (2, 3, 6)]
for x, kernel, want in given:
    inside.clear()
    thread = threading.Thread(target=check, args=(x, kernel, want))
    thread.start()
    assert inside.wait(10)
    in_child(lambda: check(*problem(50, 60, 7)), seconds=8)
    thread.join()
    check(x, kernel, want)
"""
    assert_quiet(python(script, cold=True))


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "while modules are torn down slowly"])
def test_the_interpreter_shuts_down_while_daemon_threads_convolve(slowly: bool) -> None:
    """Kernels still run when the last modules are gone: their code and tables must outlive Python."""
    script = f"""
x = np.ones((2500, 2500), np.float32)
shared = ft.Convolution(np.ones((21, 21), np.float32))
shared(x[:200, :200])
class Slow:
    def __del__(self):
        time.sleep(0.15)
if {slowly}:
    sys.late, ft.late = Slow(), Slow()
def loop(count):
    while True:
        shared(x, threads=count)
for count in (1, 2, 2):
    threading.Thread(target=loop, args=(count,), daemon=True).start()
time.sleep(0.2)
"""
    for _ in range(5):
        assert_quiet(python(script))


def test_a_keyboard_interrupt_leaves_the_pool_usable() -> None:
    script = """
x, kernel, want = problem(1200, 1200, 9)
shared = ft.Convolution(kernel, flip=False, mode="valid")
check(x, kernel, want, shared)
interrupts = 0
for turn in range(40):
    timer = threading.Timer(0.001 + 0.0007 * turn, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        for _ in range(100):
            shared(x, threads=2)
        timer.join()  # on a busy machine it comes late
    except KeyboardInterrupt:
        interrupts += 1
    timer.join()
assert interrupts >= 30, interrupts
check(x, kernel, want, shared)
together = threading.Barrier(2)
threads.run([lambda: together.wait(timeout=5)] * 2, 2)
workers = sum(thread.name == "faltung" for thread in threading.enumerate())
assert workers <= max(os.cpu_count(), 2), workers
"""
    assert_quiet(python(script))


def test_an_interrupted_call_writes_nothing_more() -> None:
    """When `run` has raised, no worker may still be in one of its jobs: the caller is free to use its arrays."""
    script = """
started, finished = threading.Event(), threading.Event()
def short():
    started.wait(5)
    os.kill(os.getpid(), signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
def long():
    started.set()
    time.sleep(0.5)
    finished.set()
for jobs in ([short, long], [long, short]):
    started.clear(), finished.clear()
    try:
        threads.run(jobs, 2)
    except KeyboardInterrupt:
        assert finished.is_set(), "a worker was still busy"
def wait_in_worker():
    if threading.current_thread() is threading.main_thread():
        started.wait(5)
    else:
        started.set()
        time.sleep(0.5)
        finished.set()
started.clear(), finished.clear()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    threads.run([wait_in_worker, wait_in_worker], 2)
    time.sleep(1)
except KeyboardInterrupt:
    assert finished.is_set(), "a worker was still busy"
"""
    assert_quiet(python(script))


def test_spawned_processes_convolve(tmp_path: Path) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(
        COMMON
        + """
import multiprocessing
def work(convolution):
    x, kernel, want = problem()
    return bool((convolution(x, threads=2) == want).all())
if __name__ == "__main__":
    x, kernel, want = problem()
    shared = ft.Convolution(kernel, flip=False, mode="valid")
    check(x, kernel, want, shared)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(work, [shared] * 4) == [True] * 4
"""
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert_quiet(done)
