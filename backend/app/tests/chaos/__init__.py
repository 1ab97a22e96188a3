"""Crashes at every named place, and the invariants that hold all the same."""
