"""What codes are good for: evaluate, compare, detect, map, neighbors, generate."""
