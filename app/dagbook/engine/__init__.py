"""What happens next: pure functions over frozen state; time is an argument."""
