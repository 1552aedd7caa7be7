"""One file a command: compose the config, call the library, print the result."""
