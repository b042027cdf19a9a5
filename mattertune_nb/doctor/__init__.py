"""Checks data before training: what is wrong, where, on what evidence, and what to do."""
