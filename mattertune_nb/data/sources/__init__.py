"""Where structures come from: files, folders and lists of them, databases, structures in memory."""
