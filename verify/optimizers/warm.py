"""Imported once by the process from which those that judge optimizers are copied: what all of them need is loaded.

Importing it runs a small search, after which torch and hypothesis have loaded what they load at first
use. It leaves nothing else behind.
"""

from __future__ import annotations

import torch

from theorems.hypotheses import Property
from verify.optimizers.falsify import falsify

__all__: list[str] = []


def _plain(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


torch.set_num_threads(1)  # threads do not survive the copying
falsify(_plain, Property.F, histories=20)
