"""ONNX files: run by onnxruntime, whole and node by node."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import FileError, GeometryError, ProblemError
from faltung.plot.canvas import NotInstalledError
from faltung.symmetry.audit.steps import Settings, Step
from faltung.symmetry.audit.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

    from faltung.symmetry.elements import Array

MEASURES = ("Shape", "Size")  # what they return depends on no value of the input


def onnx_target(path: Path, x: Array) -> Target:
    """Make a target of a model with one input; its first output is audited.

    Raises:
        NotInstalledError: onnx or onnxruntime is missing.
        FileError: the file is missing or no ONNX model.
        ProblemError: the model has several inputs, or refuses this one.
    """
    model = load(path)
    name, shape, dtype = model_input(model, path)
    array = x.astype(dtype)
    if len(shape) != array.ndim or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        wanted = " x ".join("any" if n is None else str(n) for n in shape)
        msg = f"{path.name} takes an input of shape {wanted}, and x has {' x '.join(map(str, array.shape))}"
        raise GeometryError(msg)
    first = model.graph.output[0].name
    session = _session(model.SerializeToString(), str(path))

    def run(inputs: list[Array]) -> Array:
        result: Array = _call(session, [first], {name: inputs[0].astype(dtype)}, path.name)[0]
        return result

    return Target(path.name, run, array, lambda: graph_steps(model, name, array, path.name))


def package(name: str) -> Any:
    """Import onnx or onnxruntime; NotInstalledError without it."""
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"ONNX models need {name}, which is not installed; run: pip install onnx onnxruntime"
        raise NotInstalledError(msg) from error


def load(path: Path) -> Any:
    """Read a model; FileError if there is none."""
    onnx = package("onnx")
    if not path.is_file():
        msg = f"{path}: no such file; give an ONNX model"
        raise FileError(msg)
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    # protobuf and the checker raise types of their own, which have no common base.
    except Exception as error:
        msg = f"{path}: not an ONNX model that can be read: {error}"
        raise FileError(msg) from error
    return model


def model_input(model: Any, path: Path) -> tuple[str, tuple[int | None, ...], Any]:
    """Return name, shape (None where any size is taken) and dtype of a model's one input; ProblemError for others."""
    onnx = package("onnx")
    stored = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(i.name for i in inputs) or "none"
        msg = f"{path.name} has {len(inputs)} inputs ({names}), and an audit moves one; "
        raise ProblemError(msg + "wrap the model in a function of the input that moves")
    kind = inputs[0].type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim)
    return inputs[0].name, shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)


def graph_steps(model: Any, name: str, x: Array, title: str) -> list[Step]:
    """Run the model with every intermediate result exposed, and return each node that depends on the input's values.

    Nodes with graphs inside (If, Loop, Scan) are passed over.
    """
    values = _all_values(model, name, x, title)
    moving, steps = {name}, []
    for i, node in enumerate(model.graph.node):
        inside = any(a.HasField("g") or a.graphs for a in node.attribute)
        if inside or node.op_type in MEASURES or not moving & set(node.input):
            continue
        moving |= set(node.output)
        keys = list(dict.fromkeys(n for n in node.input if n in moving))
        if node.output[0] not in values or not all(k in values for k in keys):
            continue
        own: list[Hashable] = ["input" if k == name else k for k in keys]
        run = _node_runner(model, node, keys, values)
        label = node.name or f"{node.op_type.lower()}{i}"
        arrays = [values[k] for k in keys]
        steps.append(Step(label, node.op_type, run, arrays, own, node.output[0], settings_of(node, values)))
    return steps


def _all_values(model: Any, name: str, x: Array, title: str) -> dict[str, Array]:
    onnx = package("onnx")
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    kept = {o.name for o in model.graph.output}
    made = [n for node in model.graph.node for n in node.output if n and n not in kept]
    exposed.graph.output.extend([onnx.ValueInfoProto(name=n) for n in made])
    names = [*kept, *made]
    session = _session(exposed.SerializeToString(), title, exposed=True)
    results = _call(session, names, {name: x}, title)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    arrays = {n: v for n, v in zip(names, results, strict=True) if isinstance(v, np.ndarray)}
    return {**stored, **arrays, name: x}


def _node_runner(model: Any, node: Any, keys: Sequence[str], values: dict[str, Array]) -> Callable[[Any], Array]:
    """Return a function that runs one node alone, on other values of the inputs that depend on the model's input."""
    sessions: list[Any] = []

    def run(inputs: list[Array]) -> Array:
        if not sessions:
            sessions.append(_session(_alone(model, node, keys, values), node.op_type, alone=True))
        feed = dict(zip(keys, inputs, strict=True))
        result: Array = _call(sessions[0], [node.output[0]], feed, node.op_type)[0]
        return result

    return run


def _alone(model: Any, node: Any, keys: Sequence[str], values: dict[str, Array]) -> bytes:
    onnx = package("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    inputs = [
        helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(values[k].dtype), [None] * values[k].ndim)
        for k in keys
    ]
    constants = [numpy_helper.from_array(values[n], n) for n in dict.fromkeys(node.input) if n and n not in keys]
    outputs = [onnx.ValueInfoProto(name=n) for n in node.output if n]
    graph = helper.make_graph([node], "node", inputs, outputs, constants)
    single = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    data: bytes = single.SerializeToString()
    return data


def _session(model: bytes, title: str, *, exposed: bool = False, alone: bool = False) -> Any:
    onnxruntime = package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if alone:
        # Threads that wait for one small node take longer to start and stop than it takes to run.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
    if exposed:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # onnxruntime's errors have no common base but Exception.
    except Exception as error:
        msg = f"onnxruntime cannot load {title}: {error}"
        raise ProblemError(msg) from error


def _call(session: Any, names: list[str], feed: dict[str, Array], title: str) -> list[Any]:
    try:
        results: list[Any] = session.run(names, {k: np.ascontiguousarray(v) for k, v in feed.items()})
    except Exception as error:
        sizes = ", ".join(" x ".join(map(str, v.shape)) for v in feed.values())
        msg = f"onnxruntime cannot run {title} on {sizes}: {str(error).splitlines()[0]}"
        raise ProblemError(msg) from error
    return results


def settings_of(node: Any, values: dict[str, Array]) -> Settings:
    """Read kernel, stride, padding and dilation off a Conv or pooling node."""
    helper = package("onnx").helper
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "ConvTranspose":
        return Settings()
    weights = values[node.input[1]].shape[2:] if node.op_type == "Conv" and node.input[1] in values else ()
    kernel = tuple(given.get("kernel_shape", weights))
    if not kernel:
        return Settings()
    rank = len(kernel)
    stride, dilation = tuple(given.get("strides", (1,) * rank)), tuple(given.get("dilations", (1,) * rank))
    pads = given.get("pads", [0] * (2 * rank))
    padding = tuple(zip(pads[:rank], pads[rank:], strict=True))
    auto = given.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        # Where it puts the odd sample depends on the size, so that no padding is stated.
        return Settings(kernel, stride, None, dilation, f"{auto.decode()}")
    return Settings(kernel, stride, padding, dilation)
