"""Networks of faltung.torch as ONNX files of standard nodes, run by onnxruntime; as programs of torch.export."""

from __future__ import annotations

import io
from importlib.util import find_spec

import numpy as np
import pytest

from faltung.errors import BoundaryError, GeometryError

torch = pytest.importorskip("torch")
from faltung import torch as ft  # noqa: E402  after the check for torch

# The older exporter is deprecated, and both warn of things of their own.
pytestmark = pytest.mark.filterwarnings("ignore")
NEWER = pytest.mark.skipif(not find_spec("onnxscript"), reason="torch's newer exporter needs onnxscript")
EXPORTERS = [False, pytest.param(True, marks=NEWER)]


def some(names, newer):
    """All with the older exporter, which is quick, and some with the newer one."""
    return [(name, False) for name in names] + [pytest.param(name, True, marks=NEWER) for name in newer]


def exported(module, x, dynamo):
    """Export, check and run: operators of the graph, and the output."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    file = io.BytesIO()
    if dynamo:
        file.write(torch.onnx.export(module, (x,), dynamo=True, verbose=False).model_proto.SerializeToString())
    else:
        torch.onnx.export(module, (x,), file, dynamo=False)
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    session = runtime.InferenceSession(file.getvalue())
    return {node.op_type for node in model.graph.node}, session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


NODES = {
    "zero": (ft.Conv(2, 4, 3, 2, 1), (2, 2, 8, 8), {"Conv"}),
    "groups": (ft.Conv(2, 4, 3, dilation=2, groups=2, bias=False, ndim=1), (2, 2, 8), {"Conv"}),
    "unequal": (ft.Conv(2, 4, 3, padding=[(1, 0), (2, 1)]), (1, 2, 8, 8), {"Conv"}),
    "constant": (ft.Conv(2, 4, 3, padding=1, boundary="constant:2"), (1, 2, 8, 8), {"Pad", "Conv"}),
    "reflect": (ft.Conv(2, 4, 3, padding=1, boundary="reflect"), (1, 2, 8, 8), {"Pad", "Conv"}),
    "wrap": (ft.Conv(2, 4, (3, 2), padding=1, boundary="wrap"), (1, 2, 8, 8), {"Conv"}),
    "edge": (ft.Conv(2, 4, 3, padding=1, boundary="edge", ndim=3), (1, 2, 6, 6, 6), {"Pad", "Conv"}),
    "mixed": (ft.Conv(2, 4, 3, padding=1, boundary=["wrap", ("edge", "reflect")]), (1, 2, 8, 8), {"Conv"}),
    "same:tf": (ft.Conv(2, 4, 3, 2, "same:tf"), (1, 2, 8, 9), {"Conv"}),
    "unbatched": (ft.Conv(2, 4, 3), (2, 8, 8), {"Conv"}),
    "transposed": (ft.ConvTranspose(2, 4, 3, 2, 1, 1), (1, 2, 8, 8), {"ConvTranspose"}),
    "max": (ft.Pool(3, 2, 1, ceil_mode=True), (1, 2, 8, 8), {"MaxPool"}),
    "max1": (ft.Pool(3, 2, ndim=1), (1, 2, 8), {"MaxPool"}),
    "mean": (ft.Pool(3, 2, 1, kind="mean", count_padding=False), (1, 2, 8, 8), {"AveragePool"}),
    "mean3": (ft.Pool(2, kind="mean", ndim=3), (1, 2, 4, 4, 4), {"AveragePool"}),
    "blur": (ft.BlurPool(3), (1, 2, 8, 8), {"Pad", "Conv"}),
}


@pytest.mark.parametrize(
    ("name", "dynamo"),
    some(NODES, ["zero", "reflect", "wrap", "edge", "same:tf", "transposed", "max", "mean3", "blur"]),
)
def test_standard_nodes_give_the_same_answer(name, dynamo) -> None:
    module, shape, nodes = NODES[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found, y = exported(module, x, dynamo)
    assert nodes <= found
    assert not {"Loop", "If", "Scan"} & found
    np.testing.assert_allclose(y, module(x).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("dynamo", EXPORTERS)
def test_a_network_leaves(dynamo) -> None:
    torch.manual_seed(0)
    parts = [ft.Conv(1, 4, 3, padding=1, boundary="reflect"), torch.nn.ReLU(), ft.Pool(2), ft.Conv(4, 8, 3, 2)]
    network = torch.nn.Sequential(*parts, ft.Pool(2, kind="mean"), torch.nn.Flatten(), torch.nn.Linear(8, 3)).eval()
    x = torch.randn(2, 1, 12, 12)
    found, y = exported(network, x, dynamo)
    assert {"Pad", "Conv", "MaxPool", "AveragePool", "Gemm"} <= found
    np.testing.assert_allclose(y, network(x).detach().numpy(), atol=1e-5)


REFUSED = {
    "4-D": (ft.Conv(1, 1, 3, ndim=4), (1, 1, 4, 4, 4, 4), GeometryError, "a layer of 4 axes cannot be exported: ONNX has"),
    "symmetric": (ft.Conv(1, 1, 3, padding=1, boundary="symmetric"), (1, 1, 5, 5), BoundaryError, "'symmetric'"),
    "one side": (ft.Conv(1, 1, 3, padding=1, boundary=[("wrap", "edge")], ndim=1), (1, 1, 5), BoundaryError, "one side"),
    "folded": (ft.ConvTranspose(1, 1, 3, 2, 1, boundary="wrap"), (1, 1, 5, 5), BoundaryError, "'zero'"),
    "median": (ft.Pool(3, kind="median"), (1, 1, 6, 6), GeometryError, "max and mean"),
    "polyphase": (ft.PolyphasePool(2), (1, 1, 6, 6), GeometryError, "PolyphasePool cannot be exported"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "dynamo"), some(REFUSED, ["4-D", "polyphase"]))
def test_what_onnx_has_not_is_refused_with_a_sentence(name, dynamo) -> None:
    module, shape, error, text = REFUSED[name]
    # torch wraps it in errors of its own.
    with pytest.raises(Exception, match="") as caught:
        exported(module, torch.zeros(shape), dynamo)
    causes = [caught.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert any(isinstance(cause, error) and text in str(cause) for cause in causes)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (ft.Conv(2, 4, 3, padding=1, ndim=4, boundary="antireflect"), (3, 2, 4, 4, 4, 4)),
        (ft.ConvTranspose(2, 4, 3, 2, 1, boundary="wrap"), (3, 2, 8, 8)),
        (torch.nn.Sequential(ft.Pool(2, kind="lp"), ft.PolyphasePool(2)), (3, 2, 8, 8)),
    ],
)
def test_torch_export_takes_every_layer_and_a_batch_of_any_size(module, shape) -> None:
    x = torch.randn(shape)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("n")},), strict=False)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    run = torch.export.load(file).module()
    more = torch.cat([x, 2 * x])
    assert torch.equal(run(more), module(more))
