"""The execution service: a gRPC gateway, the launchers of its workers, and the worker itself."""
