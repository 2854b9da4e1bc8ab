"""The run store: everything a run knows, in one SQLite file that survives SIGKILL."""
