"""Output files of steps: spool paths, decoding, cutting into chunks."""
