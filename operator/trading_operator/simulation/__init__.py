"""A seeded world for the planner of scale, faster than real time: `tradingctl simulate`."""
