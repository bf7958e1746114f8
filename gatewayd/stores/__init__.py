"""Where counters, balances and records live. A store is chosen by its address; `base` has the promises."""
