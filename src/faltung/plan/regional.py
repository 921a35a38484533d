"""What a plan offers for outputs that are computed region by region; what does it is loaded when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from faltung.errors import GeometryError
from faltung.runtime.threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.held import Intervals
    from faltung.plan.plan import Plan


class Regional:
    """The methods of `Plan` for parts of the output."""

    @property
    def _plan(self) -> Plan:
        return cast("Plan", self)

    def reads(self, region: Sequence[tuple[int, int]]) -> tuple[Intervals, ...]:
        """Give the samples that a region of the output needs: for each axis of the input, its sorted intervals.

        `region` is one (start, stop) for each axis of the output. Most regions need one interval along an axis, those
        at an edge that wraps two or more, an empty one none. Methods that work in tiles need whole tiles. Raises
        GeometryError for what is no region of the output.

        >>> import faltung as ft
        >>> ft.Convolution([1.0, 2.0, 1.0], boundary="wrap").plan(10).reads([(0, 4)])
        (((0, 5), (9, 10)),)
        """
        from faltung.plan import regions

        return regions.samples(self._plan, regions.checked(self._plan, region))

    def run_region(
        self,
        source: np.ndarray,
        region: Sequence[tuple[int, int]],
        out: np.ndarray | None = None,
        threads: int | None = None,
    ) -> np.ndarray:
        """Compute a region of the output from the samples that it needs; every bit is that of the whole.

        `source` holds the samples of `reads(region)` one after the other along each axis, with any strides:
        ``x[np.ix_(*(np.r_[*(slice(*i) for i in axis)] for axis in plan.reads(region)))]``, which for one interval along
        each axis is a slice. `out`, if given, has the region's shape and the output's dtype. Integers that may
        overflow are scanned in what the region reads alone, and refused where the whole might be refused elsewhere.
        Raises GeometryError where shapes or dtypes do not fit.

        >>> import faltung as ft
        >>> x = np.arange(10.0)
        >>> plan = ft.Convolution([1.0, 2.0, 1.0]).plan(10, float)
        >>> plan.reads([(4, 6)]), plan.run_region(x[3:7], [(4, 6)])
        ((((3, 7),),), array([16., 20.]))
        """
        from faltung.plan import regions

        plan, store = self._plan, self._plan.problem.dtypes.output
        box = regions.checked(plan, region)
        shape = tuple(stop - start for start, stop in box)
        if out is None:
            out = np.empty(shape, store)
        elif out.shape != shape or out.dtype != store or not out.flags.writeable:
            msg = f"out must be a writable array of shape {shape} and dtype {store}, not {out.shape} {out.dtype}"
            raise GeometryError(msg)
        regions.run(plan, source, box, out, threads or default_threads())
        return out

    def region_bytes(self, region: Sequence[tuple[int, int]], threads: int | None = None) -> int:
        """Bound the bytes that `run_region` needs for a region: its samples, its output, and all scratch memory.

        >>> import faltung as ft
        >>> plan = ft.Convolution([1.0, 2.0, 1.0]).plan(10**6, float)
        >>> 16e5 < plan.region_bytes([(0, 10**5)], threads=1) < 16e6
        True
        """
        from faltung.plan import regions, regions_memory

        return regions_memory.memory(
            self._plan, regions.checked(self._plan, region), threads or default_threads()
        ).total

    def regions(
        self, max_memory: int, threads: int | None = None, multiples: Sequence[int] | None = None
    ) -> list[tuple[tuple[int, int], ...]]:
        """Cut the output into a grid of regions, in C order, of which each needs at most `max_memory` bytes.

        One region is the whole output where that fits; banks and channels stay together. `multiples`, one for each axis
        of the output, are the sizes that regions must hold whole, such as the chunks of a store. Raises PlanError, with
        the arithmetic, where not even the smallest region fits, and GeometryError for multiples that are none.

        >>> import faltung as ft
        >>> plan = ft.Convolution([[1.0, 2.0, 1.0]]).plan((4000, 4000), float, algorithm="direct")
        >>> len(plan.regions(50_000_000, threads=1)), plan.regions(10**9, threads=1)
        (16, [((0, 4000), (0, 4000))])
        """
        from faltung.plan import regions_memory

        return regions_memory.grid(self._plan, max_memory, threads or default_threads(), multiples)

    @property
    def grain(self) -> list[int]:
        """The outputs along each axis that are best computed together, because they come from one tile; mostly 1."""
        from faltung.plan import regions_memory

        return regions_memory.grain(self._plan)
