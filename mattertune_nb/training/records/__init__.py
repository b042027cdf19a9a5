"""The files in the directory of a run: metrics, status, splits, distances, versions."""
