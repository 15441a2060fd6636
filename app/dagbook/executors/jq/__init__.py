"""The jq executor."""
