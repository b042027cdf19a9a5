"""Runs during and after training: curves, dashboards, tables."""
