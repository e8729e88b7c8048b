"""AWS: its clients, and its services as far as we use them."""
