"""Instructions: from published datasets of instructions to problems."""
