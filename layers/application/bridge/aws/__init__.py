"""AWS: clients, and the shapes of its services that we use."""
