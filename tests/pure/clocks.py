"""Schedules and changes of clocks, as hypothesis draws them from the torture's."""

from __future__ import annotations

from hypothesis import strategies as st

from app.torture import clocks

CHANGES = st.sampled_from(clocks.ZONES).flatmap(lambda zone: st.sampled_from(clocks.changes(zone)))
EXPRESSIONS = st.tuples(*(st.sampled_from(field) for field in clocks.FIELDS)).map(" ".join)
