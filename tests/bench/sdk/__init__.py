"""What the SDK costs its user, beside the HTTP libraries alone."""
