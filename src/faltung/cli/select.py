"""Which axes of a picture are filtered: those asked for, or those the file names; never a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.errors import GeometryError

if TYPE_CHECKING:
    from faltung.files import Picture


def filtered_axes(picture: Picture, wanted: str | None, rank: int | None) -> tuple[int, ...]:
    """Return the positions of the axes to filter.

    ``wanted`` is what ``--axes`` says (``"yx"``, ``"1,2"``) or None; ``rank`` is the number of axes of a kernel from a
    file, or None for a filter by name, which takes as many axes as there are.

    Raises:
        GeometryError: unknown or repeated axes, or nothing in the file says which axes are meant.
    """
    if wanted is not None:
        return _asked(picture, wanted.strip())
    if picture.axes is not None:
        return _spatial(picture, rank)
    if picture.ndim <= 2 or (rank == picture.ndim and not picture.seen):
        return tuple(range(picture.ndim))
    shape = " x ".join(map(str, picture.shape))
    seen = f" {picture.seen}" if picture.seen else ""
    msg = (
        f"the file has {picture.ndim} axes,{seen} {shape}, and does not say what they are; "
        "choose the filtered ones by number (--axes 1,2), or name all (--layout tyx)"
    )
    raise GeometryError(msg)


def _asked(picture: Picture, wanted: str) -> tuple[int, ...]:
    by_number = wanted[:1] in "-0123456789"
    found = _numbers(picture, wanted) if by_number else tuple(_letter(picture, a) for a in wanted.lower())
    if len(set(found)) != len(found):
        msg = f"--axes {wanted} names an axis twice; name each filtered axis once"
        raise GeometryError(msg)
    return found


def _numbers(picture: Picture, wanted: str) -> tuple[int, ...]:
    try:
        numbers = [int(piece) for piece in wanted.split(",")]
    except ValueError:
        message = f"--axes {wanted!r} is neither letters nor numbers; write yx, or 1,2"
        raise GeometryError(message) from None
    for number in numbers:
        if not -picture.ndim <= number < picture.ndim:
            msg = f"--axes {wanted}: there is no axis {number}; the file has axes 0 to {picture.ndim - 1}"
            raise GeometryError(msg)
    return tuple(number % picture.ndim for number in numbers)


def _letter(picture: Picture, letter: str) -> int:
    if picture.axes is None:
        msg = (
            f"--axes by letter needs a file that names its axes, and this one does not; give numbers "
            f"(0 to {picture.ndim - 1}), or name all {picture.ndim} with --layout"
        )
        raise GeometryError(msg)
    if letter not in picture.axes:
        listing = ", ".join(f"{a} ({n})" for a, n in zip(picture.axes, picture.shape, strict=True))
        msg = f"there is no axis {letter!r}; the file has {listing}"
        raise GeometryError(msg)
    return picture.axes.index(letter)


def _spatial(picture: Picture, rank: int | None) -> tuple[int, ...]:
    axes = picture.axes or ""
    wanted = {None: "yx", 2: "yx", 3: "zyx"}.get(rank, "")
    if wanted and set(wanted) <= set(axes):
        return tuple(axes.index(letter) for letter in wanted)
    kernel = "the filter" if rank is None else f"a kernel with {rank} axes"
    msg = f"which axes {kernel} should take is not clear; the file has axes {axes}: name some with --axes"
    raise GeometryError(msg)
