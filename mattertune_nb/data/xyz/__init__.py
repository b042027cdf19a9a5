"""Extended XYZ: indexed once, read frame by frame, whatever writers made of its header."""
