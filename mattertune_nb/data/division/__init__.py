"""Splitting into training, validation and test: the rules, and what must stay together."""
