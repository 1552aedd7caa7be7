"""The sampler: stepping the network, drawing characters, writing texts."""
