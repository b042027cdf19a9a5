"""Training methods that preserve what a model knew, and callbacks that watch it; usable under any Trainer."""
