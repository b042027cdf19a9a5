"""Runs as they train and as they were: curves, dashboards, tables."""
