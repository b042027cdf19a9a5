"""Behaviour of a potential beyond its errors: away from its data, for pairs of atoms, in simulations."""
