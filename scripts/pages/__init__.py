"""The pages of docs/reference that scripts/reference.py makes: a module for each, with ``make()``."""
