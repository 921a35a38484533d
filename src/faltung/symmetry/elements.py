"""One transformation of an array, and a group as the list of those that are tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from faltung.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

Array: TypeAlias = np.ndarray[Any, Any]
Beyond: TypeAlias = Literal["wrap", "crop"]
Sampling: TypeAlias = Literal["spline", "fourier"]
DIGITS = 12  # to which entries of matrices and shifts are compared


@dataclass(frozen=True)
class Element:
    """An affine map of a grid about its centre c, and of the values: (g x)(p) = gain·x(A⁻¹(p - c - t) + c) + offset.

    ``matrix`` is A, one row per axis, and ``shift`` is t in samples. ``a @ b`` applies b first.

    >>> quarter = Element("turn", ((0, -1), (1, 0)), (0, 0))
    >>> (quarter @ quarter).matrix, (quarter @ quarter.inverse()).is_identity
    (((-1, 0), (0, -1)), True)
    """

    name: str
    matrix: tuple[tuple[float, ...], ...]
    shift: tuple[float, ...]
    gain: float = 1.0
    offset: float = 0.0

    @property
    def ndim(self) -> int:
        """The number of axes it moves."""
        return len(self.shift)

    def __matmul__(self, other: Element) -> Element:
        a, b = self.array(), other.array()
        shift = np.array(self.shift) + a @ np.array(other.shift)
        names = [e.name for e in (self, other) if not e.is_identity]
        return Element(
            " ∘ ".join(names) or "identity",
            _rows(a @ b),
            tuple(shift.tolist()),
            self.gain * other.gain,
            self.gain * other.offset + self.offset,
        )

    def inverse(self) -> Element:
        """Return the element that undoes this one, in exact arithmetic."""
        a = np.linalg.inv(self.array().astype(float))
        shift = -(a @ np.array(self.shift))
        return Element(f"({self.name})⁻¹", _rows(a), tuple(shift.tolist()), 1 / self.gain, -self.offset / self.gain)

    def array(self) -> Array:
        """Return the matrix A as an array."""
        return np.array(self.matrix).reshape(self.ndim, self.ndim)

    @property
    def key(self) -> tuple[float, ...]:
        """What makes two elements equal, whatever their names."""
        numbers = [*np.ravel(self.matrix), *self.shift, self.gain, self.offset]
        return tuple(float(v) + 0.0 for v in np.round(np.array(numbers, float), DIGITS))

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.key == Element("", _rows(np.eye(self.ndim)), (0,) * self.ndim).key

    @property
    def moves(self) -> bool:
        """Whether it moves samples, rather than only changing values."""
        return self.key[:-2] != Element("", _rows(np.eye(self.ndim)), (0,) * self.ndim).key[:-2]

    @property
    def turns(self) -> bool:
        """Whether its linear part is not the identity."""
        return not np.allclose(self.matrix, np.eye(self.ndim), atol=10.0**-DIGITS)

    @property
    def on_lattice(self) -> bool:
        """Whether it takes samples to samples: axes permuted and flipped, shifted by whole samples."""
        return self.permutes_axes and bool(np.all(np.equal(np.mod(np.round(self.shift, DIGITS), 1), 0)))

    @property
    def permutes_axes(self) -> bool:
        """Whether its linear part permutes and flips axes."""
        a = np.abs(np.array(self.matrix, float))
        return bool(np.all((a < 10.0**-DIGITS) | (abs(a - 1) < 10.0**-DIGITS)) and np.all(np.round(a).sum(0) == 1))


@dataclass(frozen=True)
class Given:
    """A pair of maps: ``act_in`` on inputs and ``act_out`` on outputs, each from arrays to arrays."""

    name: str
    act_in: Callable[[Array], Array]
    act_out: Callable[[Array], Array]
    is_identity: bool = False
    moves: bool = True


@dataclass(frozen=True)
class Group:
    """The elements that are tried, on the last ``ndim`` axes or those a call names.

    ``beyond`` says what a moved array shows from outside its grid: "wrap" goes around, "crop" leaves those samples out
    of the comparison. ``sampling`` is how values between samples are found: cubic splines, or Fourier (shifts that
    wrap). A ``semigroup`` has elements that lose samples, so it is measured and never called exact.
    """

    name: str
    ndim: int
    elements: tuple[Element | Given, ...]
    beyond: Beyond = "wrap"
    sampling: Sampling = "spline"
    semigroup: bool = False

    @property
    def tried(self) -> tuple[Element | Given, ...]:
        """The elements other than the identity."""
        return tuple(e for e in self.elements if not e.is_identity)

    @property
    def is_closed(self) -> bool:
        """Whether products of its elements are among them, so that it is the whole group."""
        maps = [e for e in self.elements if isinstance(e, Element)]
        keys = {e.key for e in maps}
        return len(maps) == len(self.elements) and all((a @ b).key in keys for a in maps for b in maps)

    def table(self) -> Array:
        """Return the multiplication table: entry [i, j] is the index of elements[i] @ elements[j].

        Raises:
            ProblemError: the elements are a sample of the group, or given maps.

        >>> from faltung.symmetry import rotations90
        >>> rotations90().table().tolist()
        [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]
        """
        if not self.is_closed:
            msg = f"{self.name} lists some elements of a larger group, which has no finite table; use rotations90(), "
            raise ProblemError(msg + "dihedral(), reflections() or permutations()")
        maps = [e for e in self.elements if isinstance(e, Element)]
        place = {e.key: i for i, e in enumerate(maps)}
        return np.array([[place[(a @ b).key] for b in maps] for a in maps])

    def __len__(self) -> int:
        return len(self.elements)


def linear(name: str, matrix: Any) -> Element:
    """Make an element from its matrix alone."""
    rows = _rows(np.array(matrix))
    return Element(name, rows, (0,) * len(rows))


def _rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
