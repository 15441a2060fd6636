"""Params: their texts, JSON Schema, dotenv files and items of parallel calls."""
