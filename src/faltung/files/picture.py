"""What a file holds: an array, the letters of its axes, and the format it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from faltung.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import numpy as np

MAX_BYTES = 4 * 2**30


class Stored(Protocol):
    """An array that may still be on disk: indexing reads, as indexing a memory map does."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one sample."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    def __getitem__(self, index: Any, /) -> Any:
        """Read the part that ``index`` selects."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, eq=False)
class Picture:
    """An array with its axes and its format.

    ``axes`` has one lower-case letter per axis (``"tyxc"``), or is None where the file does not say.
    ``seen`` is what the file seems to have in that case (``"IYX"``), for messages. ``format`` is ``"png"``,
    ``"jpeg"``, ``"tiff"`` or ``"npy"``, and ``flavour`` the kind of TIFF metadata.

    A picture from `open_picture` reads when its array is indexed, and is closed by ``with`` or `close`.
    """

    array: Stored
    axes: str | None
    format: str
    flavour: str = ""
    seen: str = ""
    close: Callable[[], None] = _nothing

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    def with_layout(self, layout: str) -> Picture:
        """Return the picture with its axes named by the letters of ``layout``, one per axis.

        Raises:
            FileError: the letters are not one per axis, not lower-case letters, or not distinct.

        >>> import numpy as np
        >>> Picture(np.zeros((5, 4, 3)), None, "npy").with_layout("tyx").axes
        'tyx'
        """
        letters = layout.lower()
        if len(letters) != self.ndim or len(set(letters)) != len(letters) or not letters.isalpha():
            shape = " x ".join(map(str, self.shape))
            msg = (
                f"layout {layout!r} does not name the {self.ndim} axes of {shape}; "
                "give one distinct letter per axis, such as tyx"
            )
            raise FileError(msg)
        return Picture(self.array, letters, self.format, self.flavour, "", self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def bounded(path: object, shape: tuple[int, ...], needed: int, max_bytes: int) -> None:
    """Refuse to decode ``needed`` bytes where fewer are allowed."""
    if needed > max_bytes:
        size = " x ".join(map(str, shape))
        msg = (
            f"{path}: {size} samples need {needed} bytes, more than the limit of {max_bytes}; "
            f"raise it with --max-bytes {needed} (max_bytes=) if the file is trusted"
        )
        raise FileError(msg)
