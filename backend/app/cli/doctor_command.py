"""`paceline doctor`: not written yet."""
COMMANDS = ()
