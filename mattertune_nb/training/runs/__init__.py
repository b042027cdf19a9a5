"""Runs seen from outside: directories, processes, stopping, resuming."""
