"""Against real neighbours: PostgreSQL, Redis Cluster, the partition process itself."""
