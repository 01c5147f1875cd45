"""Entry points of the pods that run other people's servers: they write its configuration."""
