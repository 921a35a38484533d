"""Benchmarks: faltung beside every installed peer, in turns, each answer checked (see README.md)."""

import os

# Idle BLAS workers spin, by default for milliseconds, on the cores that the next library is timed on. This is read
# when NumPy is loaded.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
