"""Params: their texts, JSON Schema, dotenv files and items of parallel calls."""

__all__ = ["dotenv", "names", "param_text"]
