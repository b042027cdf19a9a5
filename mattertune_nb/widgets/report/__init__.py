"""A run as one file to keep or send: the contents of live curves and views, without a kernel."""
