"""Functions as they are before `scalars.abstract_math` replaces them: the interpreter itself needs no other."""

from __future__ import annotations

import builtins
import math

__all__ = ["isinf", "max", "min"]

max, min, isinf = builtins.max, builtins.min, math.isinf
