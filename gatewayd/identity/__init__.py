"""Who is calling: bearer tokens made into identities, and the plans that operators gave to users."""
