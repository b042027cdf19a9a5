"""UMA and eSEN."""
