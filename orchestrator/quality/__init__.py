"""Test quality: which suites can be trusted. Pure logic; what has to be executed is said, not done."""
