"""A small world in which moves happen: a model of PostgreSQL, engines, operators, and a search."""
