"""Labels of structures: their names and units in files, and which of them are meant."""
