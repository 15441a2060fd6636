"""The fault experiments on alerts, FA1 to FA9: what fails while they are routed and sent, and who was told of what."""
