"""Fault experiments on triggers: what a hook has answered is one run, or says why it is none."""
