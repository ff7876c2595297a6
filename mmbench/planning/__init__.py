"""Planning: from a protocol to what is missing, what it costs and what it could find."""
