"""Moves of symbols: from what people and the planner ask for to orders in the topology.

Who owns a slot is read from the shards' rows, how far a move is from the partitions; both anew in
each pass. The status of a SymbolMove keeps only what nobody else knows: how often it was tried and
where its symbols came from.
"""
