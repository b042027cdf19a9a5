"""Typed settings; this layer imports nothing heavy, so that a form can show them at once."""
