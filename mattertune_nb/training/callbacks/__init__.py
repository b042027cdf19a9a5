"""Lightning's callbacks of a run: they write its records and keep its promises."""
