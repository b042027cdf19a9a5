"""Views for notebooks; they read configs and run directories, and never train."""
