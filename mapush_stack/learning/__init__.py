"""Learners: the contract between them and the rest (`contract`, `vec_env`), and one folder for each library."""
