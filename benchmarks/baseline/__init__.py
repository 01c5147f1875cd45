"""The design of the first prototype, as the figures' counterpart: one request, one INSERT, one commit."""
