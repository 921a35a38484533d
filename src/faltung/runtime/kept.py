"""A bounded dictionary without a lock: a fork may happen at any time, and must find nothing held."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(dict[Key, Value]):
    """The latest `limit` values or so; single operations of a dictionary are atomic, and that is enough for a cache.

    >>> kept = Kept(2)
    >>> for i in range(4): kept.keep(i, str(i))
    >>> kept
    {2: '2', 3: '3'}
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def keep(self, key: Key, value: Value) -> None:
        """Store a value and drop the oldest beyond the limit."""
        self[key] = value
        # Another thread may drop the same one, or change the dictionary under the iterator.
        with contextlib.suppress(KeyError, StopIteration, RuntimeError):
            while len(self) > self.limit:
                del self[next(iter(self))]
