"""A run's life: where the engine, the executors and the database meet, and the only place where they do."""
