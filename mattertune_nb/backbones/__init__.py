"""Pretrained potentials: a room for each vendor, with its config and its adapter."""
