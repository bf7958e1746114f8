"""What the way through the gateway costs, next to other gateways, measured from outside over loopback."""
