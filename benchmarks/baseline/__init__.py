"""The first prototype's design, the figures' counterpart: one request, one INSERT, one commit."""
