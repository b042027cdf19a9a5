"""Readers of sources of structures, each one file."""
