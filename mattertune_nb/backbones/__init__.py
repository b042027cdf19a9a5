"""Pretrained potentials: one file a vendor, its config beside its adapter."""
