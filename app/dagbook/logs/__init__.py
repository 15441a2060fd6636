"""Search and paging of step output."""
