"""Plugins for mmbench, one module for each kind."""
