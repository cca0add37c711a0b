"""The one way out of the hub to addresses that its companies named."""
