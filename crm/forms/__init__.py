"""Forms parse and validate; they never write."""
