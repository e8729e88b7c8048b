"""What the bridge costs: CPU, calls and memory, against plain yardsticks."""
