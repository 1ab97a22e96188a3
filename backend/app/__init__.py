"""Paceline: pipelines of coding agents with people at the decisions."""
