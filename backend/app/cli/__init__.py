"""The command line: `paceline COMMAND`, over HTTP but for serve, demo, doctor, config and openapi."""

from app.cli.program import main

__all__ = ["main"]
