"""The orchestrator's side of the sandbox: a client, and a server for those who bring none."""
