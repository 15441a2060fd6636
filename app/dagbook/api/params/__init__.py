"""Parameters, filters, cursors and paging of requests."""
