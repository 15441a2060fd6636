"""Capacity: what runs, processes and histories cost, measured, and what follows from that for larger installations."""
