"""What a run has led to: errors, verdict, fitness for use, cards and exports."""
