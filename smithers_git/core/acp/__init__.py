"""The client's end of the Agent Client Protocol: one driver for every agent that speaks it."""
