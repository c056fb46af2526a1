"""What is bought: a checkout's states, rules, use cases and statements."""
