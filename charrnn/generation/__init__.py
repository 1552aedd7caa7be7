"""Generation of text: the step of a network, the draw of a character, and the sampler."""
