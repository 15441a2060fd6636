"""Request and response bodies with the contract's field names, one module for each of its tags."""
