"""Figures that anyone can repeat: result files, the plan of what is measured, and the pages that are made of them."""
