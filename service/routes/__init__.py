"""What each route does with the parts of the service: capsules, models, health."""
