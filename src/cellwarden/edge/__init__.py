"""The shell on the device."""
