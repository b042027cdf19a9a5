"""What forms, live curves and views have in common."""
