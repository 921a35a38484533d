"""Audits of ONNX graphs: a small one whose errors are known, and a network from a PyPI wheel on a real picture."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faltung import errors, symmetry
from faltung.symmetry import equivariance

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
RNG = np.random.default_rng(9)


def value(name: str, *shape: Any) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def save(path: Path, nodes: list[Any], inputs: list[Any], weights: dict[str, Any]) -> Path:
    stored = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()]
    graph = onnx.helper.make_graph(nodes, "test", inputs, [value("y", None, None, None, None)], stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Isotropic convolution of stride 2, a branch that keeps its shape and is added, and a max-pool 2x2."""
    node = onnx.helper.make_node
    blur = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32)[None, None] / 16
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="down", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Shape", ["a"], ["s"]),
        node("Relu", ["a"], ["b"], name="relu"),
        node("Reshape", ["b", "s"], ["c"], name="keep"),
        node("Constant", [], ["half"], value=onnx.numpy_helper.from_array(np.float32(0.5))),
        node("Mul", ["c", "half"], ["d"], name="scale"),
        node("Add", ["a", "d"], ["e"], name="add"),
        node("MaxPool", ["e"], ["y"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return save(tmp_path / "net.onnx", nodes, [value("x", 1, 1, "h", "w")], {"w": blur})


def picture(*shape: int) -> Any:
    return RNG.standard_normal((1, 1, *shape)).astype(np.float32)


def test_each_node_is_measured_on_its_own_input(network: Path) -> None:
    # 31 is odd for the convolution, and its 16 x 16 result even for the pooling: everything holds.
    report = equivariance(network, picture(31, 31), symmetry.rotations90())
    assert report.max_error < 1e-6
    assert [e.name for e in report.per_layer] == ["down", "relu", "keep", "scale", "add", "pool"]
    assert max(e.max_error or 0 for e in report.per_layer) < 1e-6
    report = equivariance(network, picture(33, 33), symmetry.rotations90())
    wrong = [e.name for e in report.per_layer if (e.max_error or 0) > 1e-4]
    assert wrong == ["pool"]
    with pytest.raises(errors.EquivarianceError, match=r"layer 6 \(pool: MaxPool, 2x2, stride 2\) .*even sizes"):
        report.require(1e-5)
    report = equivariance(str(network), picture(32, 32), symmetry.rotations90())
    assert [e.name for e in report.per_layer if (e.max_error or 0) > 1e-4] == ["down"]
    assert "exact on odd sizes" in report.verdict
    assert report.per_layer[0].settings == "3x3, stride 2, padding 1 zeros"


def test_shifts_and_the_whole(network: Path) -> None:
    x = picture(32, 32)
    report = equivariance(network, x, symmetry.shifts((1, 4)))
    assert report.decision.endswith("stride 4")
    assert [e.cause for e in report.per_element][:2] == ["lattice", "lattice"]
    assert report.per_layer == equivariance(network, x, symmetry.shifts((1, 4))).per_layer
    assert equivariance(network, x, symmetry.shifts(), layers=False).per_layer == ()


def test_refusals(tmp_path: Path, network: Path) -> None:
    with pytest.raises(errors.FileError, match="no such file"):
        equivariance(tmp_path / "none.onnx", picture(8, 8), symmetry.shifts())
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(errors.FileError, match="not an ONNX model"):
        equivariance(tmp_path / "bad.onnx", picture(8, 8), symmetry.shifts())
    with pytest.raises(errors.GeometryError, match="input of shape 1 x 1 x any x any, and x has 1 x 3 x 8 x 8"):
        equivariance(network, np.ones((1, 3, 8, 8)), symmetry.shifts())
    add = [onnx.helper.make_node("Add", ["x", "z"], ["y"])]
    two = save(tmp_path / "two.onnx", add, [value("x", 1, 1, 4, 4), value("z", 1, 1, 4, 4)], {})
    with pytest.raises(errors.ProblemError, match=r"has 2 inputs \(x, z\)"):
        equivariance(two, np.ones((1, 1, 4, 4)), symmetry.shifts())
    big = [onnx.helper.make_node("Conv", ["x", "w"], ["y"])]
    wide = save(tmp_path / "big.onnx", big, [value("x", 1, 1, None, None)], {"w": np.ones((1, 1, 9, 9), np.float32)})
    with pytest.raises(errors.ProblemError, match=r"onnxruntime cannot run big\.onnx on 1 x 1 x 8 x 8"):
        equivariance(wide, picture(8, 8), symmetry.shifts())


@pytest.mark.skipif(find_spec("rapidocr_onnxruntime") is None, reason="its wheel brings the network")
def test_a_pretrained_network_on_a_real_page() -> None:
    from skimage import data

    found = find_spec("rapidocr_onnxruntime")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"
    page = data.page()[70:118, 100:292].astype(np.float32) / 255
    report = equivariance(path, np.broadcast_to(page, (1, 3, 48, 192)), symmetry.shifts([(0, 1)]))
    assert "(invariant)" in report.decision
    assert report.max_error > 1e-3
    strided = [e for e in report.per_layer if "stride 2" in e.settings and e.max_error]
    assert len(strided) >= 3
    assert min(e.max_error or 0 for e in strided) > 0.01


def test_what_is_missing_is_named(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        errors.FaltungError, match="need onnxruntime, which is not installed; run: pip install onnx onnx"
    ):
        equivariance(network, picture(8, 8), symmetry.shifts())
