"""What a convolution shows of itself: matrix, adjoint, cost, spectrum; each is made in `analysis` when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike
    from scipy.sparse import csr_array

    from faltung.analysis.chain import Chain
    from faltung.analysis.cost import Cost
    from faltung.analysis.receptive_field import ReceptiveField
    from faltung.analysis.sharing import Sharing
    from faltung.analysis.spectrum import Spectrum
    from faltung.analysis.structure import Structure
    from faltung.convolution import Convolution
    from faltung.stream import Stream


class Views:
    """The methods of `Convolution` that look at it from outside."""

    @property
    def _itself(self) -> Convolution:
        return cast("Convolution", self)

    def _repr_html_(self) -> str:
        from faltung.plot.html import convolution

        return convolution(self._itself)

    @staticmethod
    def of(thing: Any) -> Convolution:
        """Give what is a convolution already as one: a filter, a torch layer (without its bias), or a finding.

        A filter is convolved with (flipped), a layer of torch.nn or `faltung.torch` applied as it is, and what
        `symmetry.identify` found as it was found. ProblemError for anything else.

        >>> import faltung as ft
        >>> ft.Convolution.of(ft.filters.sobel()).kernel.shape
        (3, 3)
        """
        from faltung.foreign import convolution_of

        return convolution_of(thing)

    def stream(self, axis: int | None = None, threads: int | None = None) -> Stream:
        """Filter an input that arrives in pieces along `axis` (the first filtered axis by default); see `Stream`.

        >>> import faltung as ft
        >>> live = ft.Convolution([1, -1], boundary="edge").stream()
        >>> live([1, 4, 9]), live([16]), live.finish()
        (array([3, 5]), array([7]), array([0]))
        """
        from faltung.stream import Stream

        return Stream(self._itself, axis, threads)

    def matrix(self, shape: int | Sequence[int]) -> csr_array:
        """Write it as a sparse matrix: c.matrix(shape) @ x.ravel() equals c(x).ravel(); see `analysis.matrix`.

        >>> import faltung as ft
        >>> ft.Convolution([1, 1], flip=False, mode="valid").matrix(3).toarray()
        array([[1, 1, 0],
               [0, 1, 1]])
        """
        from faltung.analysis.matrix import matrix

        return matrix(self._itself, shape)

    def linear_operator(self, shape: int | Sequence[int]) -> Any:
        """Wrap it for scipy.sparse.linalg, with its exact adjoint; see `analysis.operator`."""
        from faltung.analysis.operator import linear_operator

        return linear_operator(self._itself, shape)

    def adjoint(self, y: ArrayLike, shape: int | Sequence[int]) -> np.ndarray:
        """Apply the conjugate transpose to an output for inputs of a shape; see `analysis.operator`.

        >>> import faltung as ft
        >>> ft.Convolution([1, 1], flip=False, mode="valid").adjoint([1, 10], 3)
        array([ 1, 11, 10])
        """
        from faltung.analysis.operator import adjoint

        return adjoint(self._itself, y, shape)

    def structure(self, shape: int | Sequence[int]) -> Structure:
        """Say which levels of the matrix are Toeplitz, circulant, block diagonal; see `analysis.structure`."""
        from faltung.analysis.structure import structure

        return structure(self._itself, shape)

    def sharing(self, shape: int | Sequence[int]) -> Sharing:
        """Map every edge between input and output to the parameter it shares; see `analysis.sharing`."""
        from faltung.analysis.sharing import sharing

        return sharing(self._itself, shape)

    def singular_values(self, shape: int | Sequence[int]) -> np.ndarray:
        """Give all singular values, by the Fourier transform on a torus; see `analysis.circulant`."""
        from faltung.analysis.circulant import singular_values

        return singular_values(self._itself, shape)

    def inverse(self, shape: int | Sequence[int]) -> Convolution:
        """Invert a circular convolution of arrays of a shape by another; see `analysis.circulant`."""
        from faltung.analysis.circulant import inverse

        return inverse(self._itself, shape)

    def norm(self, shape: int | Sequence[int], *, tolerance: float = 1e-10) -> float:
        """Give the largest singular value; see `analysis.norm`, also for a bound that needs no iteration."""
        from faltung.analysis.norm import norm

        return norm(self._itself, shape, tolerance=tolerance)

    def solve(self, y: ArrayLike, shape: int | Sequence[int], **options: Any) -> np.ndarray:
        """Undo it: regularised least squares (regularisation=0.0, tolerance=1e-10, ...); see `analysis.solve`."""
        from faltung.analysis.solve import solve

        return solve(self._itself, y, shape, **options)

    def cost(self, shape: int | Sequence[int], *, dtype: DTypeLike = np.float32, bias: bool = False) -> Cost:
        """Count parameters, their uses, MACs and bytes, beside untied and dense layers; see `analysis.cost`."""
        from faltung.analysis.cost import cost

        return cost(self._itself, shape, dtype=dtype, bias=bias)

    def spectrum(self, shape: int | Sequence[int] | None = None, **options: Any) -> Spectrum:
        """Give the frequency response (spacing=1.0, tolerance=1e-12); see `analysis.spectrum`."""
        from faltung.analysis.spectrum import spectrum

        return spectrum(self._itself, shape, **options)

    @property
    def receptive_field(self) -> ReceptiveField:
        """Which samples an output depends on: size, stride and start per axis; see `analysis.receptive_field`."""
        from faltung.analysis.receptive_field import receptive_field

        return receptive_field(self._itself)

    def __matmul__(self, first: Convolution | Chain) -> Convolution | Chain:
        """Apply it after another: one convolution where that is exact, else a chain; see `analysis.compose`."""
        from faltung.analysis.chain import Chain
        from faltung.analysis.compose import compose

        return compose(self._itself, first) if isinstance(first, (Views, Chain)) else NotImplemented
