"""Which structures form which batch."""
