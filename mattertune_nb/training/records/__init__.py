"""What the directory of a run holds of it: metrics, status, divisions, distances, versions."""
