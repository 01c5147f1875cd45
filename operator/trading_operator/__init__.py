"""The control plane: what is wanted, what is, what follows, and making it so."""
