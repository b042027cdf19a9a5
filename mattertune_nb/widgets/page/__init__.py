"""What forms, live curves and views share."""
