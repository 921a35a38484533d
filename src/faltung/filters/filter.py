"""A kernel that remembers where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Filter:
    """A named kernel: an array, its formula, and the parameters it was made from.

    ``kernel`` is a read-only array of any rank, ``float64`` or, where the taps are whole numbers, ``int64``.
    ``formula`` gives the tap at offset ``i`` from the centre. ``np.asarray(f)`` is the kernel.

    >>> import numpy as np
    >>> f = Filter("identity", np.ones((1, 1), np.int64), "k[i] = 1")
    >>> f
    identity(): k[i] = 1, 1x1 int64
    >>> np.asarray(f)
    array([[1]])
    """

    name: str
    kernel: np.ndarray[Any, Any]
    formula: str
    parameters: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kernel = np.array(self.kernel)
        kernel.setflags(write=False)
        object.__setattr__(self, "kernel", kernel)

    @property
    def ndim(self) -> int:
        """The number of axes of the kernel."""
        return self.kernel.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of taps along each axis."""
        return tuple(self.kernel.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.kernel, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        size = "x".join(map(str, self.shape)) or "scalar"
        return f"{self.name}({given}): {self.formula}, {size} {self.kernel.dtype}"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling an array drops its read-only flag; going through the constructor sets it again.
        return Filter, (self.name, self.kernel, self.formula, self.parameters)
