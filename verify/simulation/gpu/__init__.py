"""The fused engine on a GPU: whole trajectories in one launch, with updates generated from `theorems.rules`."""
