"""Structs with the contract's field names, one file for each of its tags."""
