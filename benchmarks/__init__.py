"""Speed, measured side by side; no test asserts a speed."""
