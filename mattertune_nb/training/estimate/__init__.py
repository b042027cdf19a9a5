"""The cost of a run, estimated from a trial of a few steps."""
