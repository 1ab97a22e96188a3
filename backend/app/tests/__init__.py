"""Tests of the back end; they run against the real parts wherever there are any."""
