"""The paper-like matrix of the protocol's tests."""

from tests.protocol.conftest import matrix

__all__ = ["matrix"]
