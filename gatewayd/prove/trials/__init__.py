"""What is done to a gateway to find out whether it keeps its promises: one trial each."""
