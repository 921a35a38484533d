"""Layers: every output channel sums over the input channels of its group.

A group of one image is a bank of filters whose kernels span all its channels: the channel axis is one more filtered
axis, along which a single position fits. So a layer is as many banks as there are images and groups.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import direct, numpy_taps
from faltung.algorithms.task import Recipe, Rejection, Task, reweighable
from faltung.compiler import kernels as compiled
from faltung.problem.boundary import Rule
from faltung.problem.geometry import Axis
from faltung.problem.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.problem.problem import Channels


def propose(task: Task) -> Recipe | Rejection:
    """Offer to run a layer bank by bank."""
    channels = task.problem.channels
    if channels is None:
        return Rejection("banks", "the problem has no channels")
    plain, inner = direct.propose if compiled.available() else numpy_taps.propose, []
    for bank in _banks(task, channels):
        answer = plain(bank)
        if isinstance(answer, Rejection):
            return answer
        inner.append(answer)
    images = math.prod(task.problem.shape[: channels.axis])
    return Recipe(
        algorithm="banks",
        nanoseconds=images * sum(recipe.nanoseconds for recipe in inner),
        workspace=max(recipe.workspace for recipe in inner),
        error=max(recipe.error for recipe in inner),
        expected=max(recipe.expected for recipe in inner),
        arithmetic=("banks", *inner[0].arithmetic),
        prepare=lambda: Layers(task, channels, inner),
        relative=True,
    )


def _banks(task: Task, channels: Channels) -> list[Task]:
    """Give the bank of each part of the kernels (real, imaginary) and each group, for one image."""
    problem = task.problem
    size = problem.shape[channels.axis] // channels.groups
    outputs = channels.outputs // channels.groups
    zero = Rule("zero")
    one = Problem(
        (size, *problem.shape[channels.axis + 1 :]),
        (0, *(axis - channels.axis for axis in problem.axes)),
        (Axis(size, size, 1, 1, 0, 1), *problem.geometry),
        ((zero, zero), *problem.boundary),
        problem.dtypes,
        outputs,
    )
    return [
        replace(task, problem=one, kernels=task.kernels[i : i + outputs], facts=task.facts[i : i + outputs])
        for i in range(0, len(task.kernels), outputs)
    ]


class Layers:
    """A layer, run image by image and group by group."""

    def __init__(self, task: Task, channels: Channels, recipes: list[Recipe]) -> None:
        problem = task.problem
        self.groups, self.outputs = channels.groups, channels.outputs
        self.load_dtype, self.in_shape, self.out_shape = task.load, problem.shape, problem.map_shape
        self._at = channels.axis
        self._methods = [reweighable(recipe.prepare()) for recipe in recipes]

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out` (parts, *batch, outputs, *sizes), C-contiguous."""
        parts = len(out)
        images = source.reshape(-1, *source.shape[self._at :])
        stack = out.reshape(parts, -1, self.groups, self.outputs // self.groups, *self.out_shape[self._at + 1 :])
        size = images.shape[1] // self.groups
        for index, method in enumerate(self._methods):
            part, group = divmod(index, self.groups)
            for image in range(len(images)):
                channels = images[image, group * size : (group + 1) * size]
                lines = channels.reshape(method.in_shape)
                # Axes of one sample may have any strides, and those before them become the last.
                if lines.strides[-1] != lines.itemsize:
                    lines = np.ascontiguousarray(lines)
                target = stack[part, image, group]
                method.run(lines, target.reshape(len(target), *method.out_shape), threads)

    def shortcut(self) -> Callable[[np.ndarray, np.ndarray], None] | None:
        """Give none: there are several calls."""
        return None

    def reweighed(self, weight: np.ndarray) -> Layers:
        """Give the same methods for other real weights (groups, C_out/groups, C_in/groups, *window)."""
        other = copy.copy(self)
        other._methods = [method.reweighed(group[None]) for method, group in zip(self._methods, weight, strict=True)]
        return other

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        images = math.prod(self.in_shape[: self._at])
        return [
            ("layer", f"{images} images, {self.groups} groups of {self.outputs // self.groups} output channels each"),
            *self._methods[0].describe(),
        ]
