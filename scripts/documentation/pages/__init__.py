"""The pages of docs/reference that scripts/documentation/reference.py makes: a module for each, with ``make()``."""
