"""moto's server in a process of its own."""
