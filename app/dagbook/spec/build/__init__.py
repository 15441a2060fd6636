"""Building the model from the nodes of a document: tables of key -> reader function."""
