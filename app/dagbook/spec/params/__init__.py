"""Params: their texts, JSON Schema, dotenv files and items of parallel calls."""

__all__ = ["dotenv", "param_text"]
