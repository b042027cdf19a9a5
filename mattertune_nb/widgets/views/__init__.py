"""Structures, data sets and predictions."""
