"""The compiled kernels: one build of the engine for each instruction set."""
