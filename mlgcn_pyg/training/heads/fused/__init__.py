"""Parts of a training step as Triton kernels, one file per kernel."""
