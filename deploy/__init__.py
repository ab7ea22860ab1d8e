"""Ways to run the service on more than one machine."""
