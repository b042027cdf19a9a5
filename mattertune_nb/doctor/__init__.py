"""Looks at data before training: what is wrong, where, how one knows, and what to do."""
