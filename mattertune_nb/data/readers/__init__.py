"""Readers of structure files, one module each."""
