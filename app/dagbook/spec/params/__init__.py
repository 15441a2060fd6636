"""Params: their texts, JSON Schema, dotenv files and items of parallel calls."""

__all__ = ["dotenv", "given", "names", "param_text"]
