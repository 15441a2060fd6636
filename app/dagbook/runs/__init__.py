"""Life cycle of runs: connects the engine, the executors and the database (the only package that uses all three)."""
