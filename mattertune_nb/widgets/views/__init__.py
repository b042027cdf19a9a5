"""Views of structures, data sets and predictions."""
