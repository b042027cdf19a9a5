"""Ways to train that keep what a model knew, and callbacks that watch it; each works under any Trainer."""
