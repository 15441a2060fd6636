"""The archive executor's program: reading, writing and unpacking archives, in bounded memory."""
