"""Run each command: call the library with checked options, and print the result."""
