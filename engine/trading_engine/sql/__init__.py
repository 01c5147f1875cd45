"""The schema of a shard: migrations in plain SQL. Only `trading_engine` writes what they define."""
