"""Labels of structures: under which names files keep them, in which units, and which of them are meant."""
