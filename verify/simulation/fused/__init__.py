"""Compiled engines: C kernels that carry whole trajectories, with updates generated from `theorems.rules`."""
