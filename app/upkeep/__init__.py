"""What keeps the database in shape while servers run."""
