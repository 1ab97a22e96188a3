"""Pure types of the domain and of the wire: no database, no web framework, no client."""
