"""Executors: the execution of one step, without access to the database or the run."""
