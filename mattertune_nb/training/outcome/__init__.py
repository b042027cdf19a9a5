"""The results of a run: errors, verdict, fitness for use, cards and exports."""
