"""Evaluation of texts: references, `$` expansion, JSON paths, conditions."""
