"""From the nodes of a document to the structs of the model: tables of key -> small function."""
