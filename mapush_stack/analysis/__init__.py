"""Reads, compares, diagnoses and reports runs from their logs."""
