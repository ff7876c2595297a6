"""The shipped protocols, as YAML files."""
