"""A run as one file to keep and to send: what live curves and views show, without a kernel."""
