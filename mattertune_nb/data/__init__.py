"""Datasets, splits and the Lightning data module."""
