"""Where actions become real. A substrate observes and applies; it never decides."""
