"""Regions of a plan: which samples a part of the output needs, and computing it from these alone with equal bits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.algorithms import held, parts
from faltung.algorithms.task import Recipe, is_anchored, is_divided
from faltung.errors import GeometryError
from faltung.plan.choice import PLAIN, propose
from faltung.problem.geometry import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.held import Intervals
    from faltung.algorithms.task import Method, Task
    from faltung.plan.plan import Plan, Plane
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box


def checked(plan: Plan, region: Any) -> Box:
    """Read a region: one (start, stop) for each axis of the output."""
    shape = plan.problem.output_shape
    try:
        box = tuple((integer(start, "a region"), integer(stop, "a region")) for start, stop in region)
    except (TypeError, ValueError) as error:
        if isinstance(error, GeometryError):
            raise
        msg = f"a region is one (start, stop) for each axis of the output {shape}, not {region!r}"
        raise GeometryError(msg) from None
    if len(box) != len(shape):
        msg = f"the region {box} has {len(box)} axes, and the output {shape} has {len(shape)}; give as many"
        raise GeometryError(msg)
    for axis, ((start, stop), size) in enumerate(zip(box, shape, strict=True)):
        if not 0 <= start <= stop <= size:
            msg = f"the region's axis {axis} is ({start}, {stop}), which is no part of the output's (0, {size})"
            raise GeometryError(msg)
    return box


def samples(plan: Plan, box: Box) -> tuple[Intervals, ...]:
    """Give the samples of the input that a region needs; of an empty one, none."""
    shape = plan.problem.shape
    if any(start == stop for start, stop in box):
        return ((),) * len(shape)
    maps = box if plan.problem.filters is None else box[1:]
    found = [_plane_samples(plane, widened(plane, maps)) for plane in plan.planes]
    return tuple(held.joined(part for one in found for part in one[axis]) for axis in range(len(shape)))


def run(plan: Plan, source: np.ndarray, box: Box, out: np.ndarray, threads: int) -> None:
    """Fill `out`, any array of the region's shape, from the samples of `reads`."""
    intervals = samples(plan, box)
    shape = tuple(map(held.count, intervals))
    problem = plan.problem
    if source.shape != shape or source.dtype != problem.dtypes.input:
        msg = f"the region {box} needs an array of shape {shape} and dtype {problem.dtypes.input}, but was given "
        msg += f"{source.shape} and {source.dtype}; Plan.reads(region) says which samples of the input it holds"
        raise GeometryError(msg)
    if out.size == 0:
        return
    maps = box if problem.filters is None else box[1:]
    if shape == problem.shape and out.shape == problem.output_shape:
        plan.run(source, out, threads)
        return
    # Nothing is written over samples that are still to be read.
    some = (problem.filters is not None and box[0] != (0, problem.filters)) or np.may_share_memory(source, out)
    sizes = [stop - start for start, stop in maps]
    target = np.empty((problem.filters or 1, *sizes), out.dtype) if some else out.reshape(-1, *sizes)
    if plan.plain:
        found = _run_plane(plan, plan.planes[0], source, maps, intervals, threads, target)
        if found is not target:
            target[...] = found
    else:
        plan.compose(source, target, lambda plane, x: _run_plane(plan, plane, x, maps, intervals, threads))
    if some:
        out[...] = target[0] if problem.filters is None else target[slice(*box[0])]


def _run_plane(
    plan: Plan,
    plane: Plane,
    x: np.ndarray,
    maps: Box,
    intervals: Sequence[Intervals],
    threads: int,
    target: np.ndarray | None = None,
) -> np.ndarray:
    """Compute a region of all real maps of a plane, in `target` where that can be filled as it is."""
    problem, method = plane.task.problem, plane.method
    box = widened(plane, maps)
    if target is None or box != tuple(maps) or not target.flags.c_contiguous:
        target = np.empty((plane.maps, *(stop - start for start, stop in box)), problem.dtypes.output)
    samples_held = (*intervals, *(((0, n),) for n in problem.shape[len(intervals) :]))
    if x.dtype != method.load_dtype:
        x = x.astype(method.load_dtype)
    if is_anchored(method):
        method.run_box(x, box, samples_held, target, threads)
    else:
        part = parts.part(problem, box, samples_held)
        block = parts.block(problem, box, x, samples_held) if part.extended else x
        _filter(_method(plan, plane, part.problem), block, target, threads)
    kept = tuple(slice(start - first, stop - first) for (start, stop), (first, _) in zip(maps, box, strict=False))
    return target if box == tuple(maps) else target[(slice(None), *kept)]


def _filter(method: Method, block: np.ndarray, target: np.ndarray, threads: int) -> None:
    source = block.reshape(method.in_shape)
    if source.ndim and source.strides[-1] != source.itemsize:
        source = np.ascontiguousarray(source)
    method.run(source, target.reshape(len(target), *method.out_shape), threads)


def _method(plan: Plan, plane: Plane, smaller: Problem) -> Method:
    """Prepare the plane's arithmetic for a part, or find it prepared."""
    key = (plan.planes.index(plane), smaller)
    found = plan.part_methods.get(key)
    if found is None:
        found = plane.method.part(smaller) if is_divided(plane.method) else _plain(plan, plane.task, smaller)
        plan.part_methods.keep(key, found)
    return found


def _plain(plan: Plan, task: Task, smaller: Problem) -> Method:
    """Prepare a plain sum of taps: all of them give the same bits, but not each serves every part."""
    wanted = plan.recipe.algorithm
    answers = (propose(name, replace(task, problem=smaller)) for name in sorted(PLAIN, key=lambda name: name != wanted))
    return next(answer for answer in answers if isinstance(answer, Recipe)).prepare()


def widened(plane: Plane, maps: Box) -> Box:
    """Give the box of one real map that is computed for a region of maps.

    It has the axis of a complex number's parts, all channels, and all lanes that are interleaved: what the lanes are
    may decide about the order of sums.
    """
    problem = plane.task.problem
    box = [*maps, *((0, n) for n in problem.shape[len(maps) :])]
    if problem.channels is not None:
        box[problem.channels.axis] = (0, problem.channels.outputs)
    if is_divided(plane.method):
        for axis in parts.interleaved(problem):
            box[axis] = (0, problem.shape[axis])
    return tuple(box)


def _plane_samples(plane: Plane, box: Box) -> tuple[Intervals, ...]:
    if is_anchored(plane.method):
        return plane.method.samples(box)
    return parts.samples(plane.task.problem, box)
