"""Certificates that a stranger can check: the format (FORMAT.md) and an independent checker (`checker`).

`checker.py` imports nothing from this project, and it is no part of what writes certificates.
"""
