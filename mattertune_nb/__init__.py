"""Fine-tune atomistic foundation models from a notebook, Python or a shell."""

__version__ = "0.1.0"
