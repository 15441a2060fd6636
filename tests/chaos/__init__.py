"""Chaos experiments: real servers are killed or paused, and what must hold in spite of it is checked afterwards.

Each experiment starts servers as processes of their own, on a database made for it, ends them at moments drawn by a
seed, and returns the violations. ``scripts/chaos`` runs them at full size; the tests here run a small sample.
"""
