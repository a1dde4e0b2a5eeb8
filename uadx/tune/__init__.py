"""What is fastest on this machine: measured among all that repeat the model's numbers and verdicts, and remembered."""
