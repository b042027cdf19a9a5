"""The Lightning module and the physics of its numbers."""
