"""Several convolutions, one after the other, where one convolution cannot do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.analysis.matrix import matrix
from faltung.analysis.operator import adjoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike

    from faltung.convolution import Convolution


class Chain:
    """Convolutions applied in the order of `steps`; `reason` says why they are not one.

    Call it with an array; iterate over it for its steps.
    """

    def __init__(self, steps: Sequence[Convolution], reason: str) -> None:
        self.steps, self.reason = tuple(steps), reason

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Apply the steps."""
        y = np.asarray(x)
        for step in self.steps:
            y = step(y)
        return y

    def __iter__(self) -> Iterator[Convolution]:
        return iter(self.steps)

    def output_shape(self, shape: int | Sequence[int]) -> tuple[int, ...]:
        """Give the shape of the result for an input shape."""
        return self._shapes(shape)[-1]

    def matrix(self, shape: int | Sequence[int]) -> Any:
        """Multiply the steps' matrices: chain.matrix(shape) @ x.ravel() equals chain(x).ravel()."""
        product = matrix(self.steps[0], shape)
        for step, given in zip(self.steps[1:], self._shapes(shape)[1:], strict=False):
            product = matrix(step, given) @ product
        return product

    def adjoint(self, y: ArrayLike, shape: int | Sequence[int]) -> np.ndarray:
        """Apply the steps' adjoints, the last first, to an output for an input of this shape."""
        x = np.asarray(y)
        for step, given in zip(reversed(self.steps), reversed(self._shapes(shape)[:-1]), strict=True):
            x = adjoint(step, x, given)
        return x

    def __matmul__(self, other: Convolution | Chain) -> Convolution | Chain:
        """Apply another before; see `compose`."""
        from faltung.analysis.compose import compose

        return compose(self, other)

    def __repr__(self) -> str:
        lines = (f"  {number}. {step!r}" for number, step in enumerate(self.steps, 1))
        return "\n".join([f"<Chain of {len(self.steps)}, because {self.reason}", *lines]) + ">"

    def _shapes(self, shape: int | Sequence[int]) -> list[tuple[int, ...]]:
        shapes = [(shape,) if isinstance(shape, int) else tuple(shape)]
        for step in self.steps:
            shapes.append(step.output_shape(shapes[-1]))
        return shapes
