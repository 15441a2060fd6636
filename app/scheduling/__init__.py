"""Time as a door: what is due is started, stopped and restarted."""
