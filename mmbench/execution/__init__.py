"""Execution: executors, the worker's job, devices and memory."""
