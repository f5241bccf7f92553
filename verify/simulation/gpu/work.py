"""The structure `Work` of kernel.cu."""

from __future__ import annotations

import ctypes

__all__ = ["Work"]


class Work(ctypes.Structure):
    """What a launch is told; pointers are addresses on the device, and the caller keeps what they point to."""

    _fields_ = [
        ("slab", ctypes.c_void_p),
        ("inputs", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("scalars", ctypes.c_void_p),
        ("branch", ctypes.c_void_p),
        ("chosen", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
        ("replicas", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("points", ctypes.c_int64),
        ("first", ctypes.c_int64),
        ("steps", ctypes.c_int64),
        ("scalar_count", ctypes.c_int64),
        ("scale", ctypes.c_double),
        ("key", ctypes.c_uint32 * 2),
    ]
