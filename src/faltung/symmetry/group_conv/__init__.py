"""Group convolution: of arrays here, of torch tensors in `torch_modules`."""

from faltung.symmetry.group_conv.arrays import filter_bank, group_conv, group_pool

__all__ = ["filter_bank", "group_conv", "group_pool"]
