"""The page for colleagues who do not read Python: form, dashboards and earlier runs, served by Voila."""
