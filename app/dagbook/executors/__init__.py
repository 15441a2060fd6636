"""Doing one step: against the operating system, with no database and no run in sight."""
