"""What is fast, measured side by side; nothing here is asserted by a test."""
