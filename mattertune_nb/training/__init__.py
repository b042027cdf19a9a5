"""Run directories, records and the tuner."""
