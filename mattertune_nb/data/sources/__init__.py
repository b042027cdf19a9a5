"""Sources of structures: files, folders and lists of them, databases, and structures in memory."""
