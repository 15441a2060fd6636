"""What measures a server, or tries it out: histories to begin with, fuzzing, experiments, costs."""
