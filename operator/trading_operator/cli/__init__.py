"""The command line `tradingctl`."""
