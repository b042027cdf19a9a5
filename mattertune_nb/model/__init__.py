"""The Lightning module, and the physics behind its numbers."""
