"""faltung in torch: differentiable layers of any rank and boundary, as functions and as modules (needs torch).

Arguments, initial values and state dicts are those of torch.nn, so weights move freely. CPU tensors are worked on where
they lie; other devices, and graphs that are exported, take torch's own operations with the same answer.

>>> import torch
>>> from faltung.torch import Conv
>>> layer = Conv(2, 4, 3, ndim=4, padding=1)
>>> layer(torch.zeros(1, 2, 5, 5, 5, 5)).shape
torch.Size([1, 4, 5, 5, 5, 5])
"""

try:
    import torch as _torch  # noqa: F401  to say what is missing before a module does
except ImportError as error:
    msg = "faltung.torch needs torch, which is not installed; run: pip install torch"
    raise ImportError(msg, name="torch") from error

from faltung.symmetry.group_conv.torch_modules import GroupBatchNorm, GroupConv, GroupPool, SpatialPool
from faltung.torch.functional import conv, conv_transpose, pool
from faltung.torch.modules import Conv, ConvTranspose, LocallyConnected
from faltung.torch.pooling import BlurPool, PolyphasePool, Pool

__all__ = [
    "BlurPool",
    "Conv",
    "ConvTranspose",
    "GroupBatchNorm",
    "GroupConv",
    "GroupPool",
    "LocallyConnected",
    "PolyphasePool",
    "Pool",
    "SpatialPool",
    "conv",
    "conv_transpose",
    "pool",
]
