"""What talks to the outside: OpenCode, the database engine, git, GitHub, the work queue."""
