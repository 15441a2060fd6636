"""What a run would do, worked out without running anything (runtime 21.9)."""
