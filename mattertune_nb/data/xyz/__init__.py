"""Extended XYZ: indexed once, read frame by frame, with tolerance for variants of its header."""
