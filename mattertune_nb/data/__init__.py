"""Structures with labels: their sources, how they are split, checked and put in order."""
