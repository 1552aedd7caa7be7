"""The sampler: choosing a character, stepping the network."""
