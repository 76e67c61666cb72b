"""Reads and writes files safely: atomic writes, locks, input files, and ``torch.save`` files that run no code."""
