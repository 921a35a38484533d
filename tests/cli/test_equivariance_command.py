"""``faltung equivariance``: what it reads, prints, keeps, refuses, and the code it exits with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from faltung import errors
from faltung.cli import equivariance as command
from faltung.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(2)
HELPERS = """
from scipy import ndimage

def wrapped(x):
    return ndimage.uniform_filter(x, (3, 3) + (1,) * (x.ndim - 2), mode="wrap")

def halved(x):
    return x[::2, ::2]

class Net:
    def __call__(self, x):
        return x.mean((0, 1))
"""


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["equivariance", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("audited_filters", None)
    (tmp_path / "audited_filters.py").write_text(HELPERS)
    for name, shape in (("grey", (24, 32)), ("square", (32, 32)), ("colour", (24, 32, 3))):
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    np.save(tmp_path / "stack.npy", np.zeros((3, 4, 5, 6)))
    return tmp_path


def test_functions_of_pictures(here: Path) -> None:
    for name in ("grey", "colour"):
        shown = run("audited_filters:wrapped", "--input", f"{name}.png", "--fail-above", "1e-5")
        assert "shift (1, 0)" in shown
        assert "hold to rounding" in shown
    shown = run(
        "audited_filters:halved", "-i", "square.png", "-g", "rotations90", "--fail-above", 1e-3, "--json", "r.json",
        "--plot", "r.svg", code=1,
    )  # fmt: skip
    assert "faltung: halved is not equivariant under rotations90: error" in shown
    assert "exact on size 31 (tried)" in shown
    assert json.loads((here / "r.json").read_text())["max_error"] > 0.1
    assert (here / "r.svg").read_text().startswith("<?xml")
    assert "hold" in run(
        "audited_filters:halved", "-i", "square.png", "-g", "rotations90", "--crop", "31", "--fail-above", 1e-3
    )
    assert "(invariant)" in run("audited_filters:Net", "-i", "colour.png")
    assert "error" in run("audited_filters:halved", "-i", "square.png", "-g", "shifts:1,2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("audited_filters:none", "-i", "grey.png"), "no attribute 'none'; name a function or a model"),
        (("no_such_module:f", "-i", "grey.png"), "No module named 'no_such_module'"),
        (("none.onnx", "-i", "grey.png"), "no such file"),
        (("audited_filters:wrapped", "-i", "none.png"), "no such file"),
        (("audited_filters:wrapped", "-i", "grey.png", "-g", "turns"), "unknown group 'turns'; there are shifts"),
        (("audited_filters:wrapped", "-i", "grey.png", "-g", "shifts:a"), "are not numbers"),
        (("audited_filters:wrapped", "-i", "grey.png", "-g", "rotations90"), "crop or pad the input to 24 x 24"),
        (("audited_filters:wrapped", "-i", "grey.png", "--crop", "99"), "hold no 99 along axis 0"),
        (("audited_filters:wrapped", "-i", "grey.png", "--crop", "a"), "give rows and columns"),
        (("audited_filters:wrapped", "-i", "grey.png", "--layout", "xy"), "there are hw, hwc"),
        (("audited_filters:wrapped", "-i", "stack.npy"), "save one plane of it"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("here")
def test_refusals(arguments: tuple[str, ...], message: str) -> None:
    if arguments[0] == "none.onnx":
        pytest.importorskip("onnx")
    assert message in run(*arguments, code=2).replace("\n", " ")


def test_groups_by_name() -> None:
    made = {name: command.group(name) for name in command.GROUPS}
    assert {name: len(g) for name, g in made.items()} == {
        "shifts": 2, "cropped-shifts": 2, "rotations90": 4, "dihedral": 8, "reflections": 4, "rotations": 3,
        "permutations": 2, "scalings": 4, "offset": 1, "gain": 1,
    }  # fmt: skip
    assert command.group("reflections:1").elements[1].name == "flip axis 1"
    assert command.group("rotations:10,20").elements[1].name == "rotation 20°"
    assert command.group("gain:3").elements[0].name == "gain 3"


def test_channels_are_what_the_model_takes() -> None:
    grey, colour = RNG.random((4, 5)).astype(np.float32), RNG.random((4, 5, 4)).astype(np.float32)
    assert command.coloured(grey, 3).shape == (4, 5, 3)
    np.testing.assert_allclose(command.coloured(colour, 1)[..., 0], colour[..., :3] @ [0.299, 0.587, 0.114], rtol=1e-6)
    np.testing.assert_array_equal(command.coloured(colour, 3), colour[..., :3])
    np.testing.assert_array_equal(command.coloured(colour, 4), colour)
    np.testing.assert_array_equal(command.coloured(colour, None), colour)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((1, 3, "h", "w"), "nchw"), ((1, "h", "w", 3), "nhwc"), ((3, "h", "w"), "chw"), (("h", "w"), "hw")],
)
def test_onnx_models_say_their_layout(here: Path, shape: tuple[int | str, ...], layout: str) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, here / "net.onnx")
    assert command.model("net.onnx")[1] == layout
    for name in ("grey", "colour"):
        shown = run("net.onnx", "-i", f"{name}.png", "--crop", "16,20", "--fail-above", 0)
        sizes = {"h": "16", "w": "20"}
        assert " x ".join(sizes.get(str(n), str(n)) for n in shape) + ": shifts hold" in shown
    np.save(here / "ready.npy", RNG.random([{"h": 9, "w": 8}.get(str(n), n) for n in shape]))
    assert ": shifts hold" in run("net.onnx", "-i", "ready.npy")
    with pytest.raises(errors.FileError, match="no such file"):
        command.model("other.onnx")


def test_torch_modules_get_their_channels_and_layers(here: Path) -> None:
    pytest.importorskip("torch")
    text = "import torch\nclass Small(torch.nn.Sequential):\n    def __init__(self):\n"
    (here / "audited_nets.py").write_text(
        text + "        super().__init__(torch.nn.Conv2d(3, 2, 3), torch.nn.MaxPool2d(2))\n"
    )
    shown = run("audited_nets:Small", "-i", "grey.png", "-g", "cropped-shifts", "--fail-above", 1e-3, code=1)
    assert "layer 2 (1: MaxPool2d, 2x2, stride 2)" in shown
    assert "Conv2d" not in run("audited_nets:Small", "-i", "grey.png", "-g", "cropped-shifts", "--no-layers")


@pytest.mark.skipif(find_spec("rapidocr_onnxruntime") is None, reason="its wheel brings the network")
def test_a_pretrained_network_on_a_real_page(here: Path) -> None:
    from pathlib import Path as Real

    from skimage import data

    found = find_spec("rapidocr_onnxruntime")
    assert found is not None
    assert found.origin is not None
    path = Real(found.origin).parent / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"
    Image.fromarray(data.page()).save(here / "page.png")
    shown = run(path, "-i", "page.png", "--crop", "48,192", "-g", "shifts:4", "--fail-above", 1e-3, code=1)
    assert re.search(r"Conv@0 +Conv +3x3, stride 2", shown)
    assert "is not equivariant under shifts" in shown


def test_help_loads_no_numpy() -> None:
    code = "import sys; from faltung.cli.app import app\ntry:\n    app(['equivariance', '--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'numpy', 'llvmlite', 'torch', 'onnx'} & set(sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--fail-above" in result.stdout
