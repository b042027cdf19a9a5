"""Pretrained potentials: one folder per vendor, with its config and its adapter."""
