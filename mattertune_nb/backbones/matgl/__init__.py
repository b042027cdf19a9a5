"""The potentials of matgl."""
