"""One trained model, from any file that holds one."""
