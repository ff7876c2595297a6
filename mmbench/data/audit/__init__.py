"""What is odd about a data set: what someone who knows radiographs would look at before training on it."""

from mmbench.data.audit.findings import Finding, audit

__all__ = ["Finding", "audit"]
