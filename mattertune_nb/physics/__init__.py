"""What a potential does apart from its errors: away from its data, between two atoms, in simulations."""
