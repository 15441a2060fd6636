"""Evaluation of params, environment, texts and conditions of a run."""
