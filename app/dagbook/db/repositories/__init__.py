"""Every query lives here; a repository takes a connection and domain arguments and decides nothing."""
