"""HTTP routes: typed arguments in, one call of a service, one object out."""
