"""Which structures make which batch."""
