"""Lightning callbacks of a run: they write its records, and stop and save it as promised."""
