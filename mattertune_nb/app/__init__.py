"""The page for colleagues who do not use Python: form, dashboards and earlier runs, served by Voila."""
