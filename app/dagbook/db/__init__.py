"""Database access: models, repositories, the two backends and the migrations."""
