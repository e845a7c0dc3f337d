"""Runs that repeat: job files, and what starts them every night."""
