"""Simulation: independent replicas in blocks, stepped by real optimizers, with events decided exactly.

Floats live here. What leaves is counts of events; every event about a drawn network is decided rigorously.
"""
