"""Structures with labels: their sources, splitting, checks and batching."""
