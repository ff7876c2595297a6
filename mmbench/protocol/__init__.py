"""Protocols: their schema, their files, their expansion into runs."""
