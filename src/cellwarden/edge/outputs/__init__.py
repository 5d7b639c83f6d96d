"""Ways out of a pack: to inverters, energy managers, brokers and other buses."""
