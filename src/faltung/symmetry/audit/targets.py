"""What is audited: a callable on NumPy arrays or torch tensors, a torch module, or an ONNX file, all as one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import DtypeError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faltung.symmetry.audit.steps import Step
    from faltung.symmetry.elements import Array


@dataclass(frozen=True, eq=False)
class Target:
    """A function on lists of NumPy arrays, its input, and, where it has them, its layers as they ran on that input."""

    name: str
    run: Callable[[list[Array]], Array]
    x: Array
    layers: Callable[[], list[Step]] | None = None


@contextmanager
def target(f: Any, x: Any) -> Iterator[Target]:
    """Make a target of what a caller gave; a torch module is in eval mode meanwhile, and afterwards as it was.

    Raises:
        ProblemError: neither callable nor an ONNX file, or the result is not one array.
        DtypeError: the input has no numbers.
    """
    torch = sys.modules.get("torch")
    if isinstance(f, (str, Path)):
        from faltung.symmetry.audit.onnx import onnx_target

        yield onnx_target(Path(f), _numbers(np.asarray(x)))
    elif torch is not None and isinstance(f, torch.nn.Module):
        from faltung.symmetry.audit.layers import evaluating, module_target

        with evaluating(f):
            yield module_target(f, x)
    elif callable(f):
        yield _function_target(f, x)
    else:
        msg = f"f={f!r} can not be called; give a function of one array, a torch module, or the path of an ONNX file"
        raise ProblemError(msg)


def _function_target(f: Callable[[Any], Any], x: Any) -> Target:
    torch = sys.modules.get("torch")
    name = getattr(f, "__name__", None) or repr(f).partition(":")[0].strip("<>")
    if torch is not None and isinstance(x, torch.Tensor):

        def run_tensor(inputs: list[Array]) -> Array:
            with torch.no_grad():
                return one_array(f(tensor_like(inputs[0], x)), name)

        return Target(name, run_tensor, x.detach().cpu().numpy())

    def run(inputs: list[Array]) -> Array:
        return one_array(f(inputs[0]), name)

    return Target(name, run, _numbers(np.asarray(x)))


def tensor_like(array: Array, like: Any) -> Any:
    """Return an array as a tensor of its own memory, with the dtype and on the device of another tensor."""
    import torch

    return torch.from_numpy(np.array(array)).to(like.device, like.dtype)


def one_array(value: Any, name: str) -> Array:
    """Take the one array a function is to return, as NumPy; ProblemError for anything else."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if isinstance(value, (tuple, list, dict)) or array.dtype.kind not in "biufc":
        kind = type(value).__name__
        msg = f"{name} returns a {kind} that is not one array of numbers; wrap it, as in lambda x: f(x)[0]"
        raise ProblemError(msg)
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _numbers(x: Array) -> Array:
    if x.dtype.kind not in "biufc":
        msg = f"x has dtype {x.dtype}, which holds no numbers; give an array of real or complex numbers"
        raise DtypeError(msg)
    if not x.size:
        msg = f"x of shape {x.shape} is empty; give an input with samples"
        raise ProblemError(msg)
    return x
