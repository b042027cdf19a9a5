"""What a run will take, found by a trial of a few steps."""
