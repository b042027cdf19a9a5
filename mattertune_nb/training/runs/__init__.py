"""Runs from the outside: directories, processes, stopping, resuming."""
