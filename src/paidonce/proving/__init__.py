"""The proof that anyone can run: real processes, real kills, and books that are not ours to compare with."""
