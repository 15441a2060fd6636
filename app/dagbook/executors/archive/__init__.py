"""The subprocess of the archive executor: creates, extracts and lists archives, in bounded memory."""
