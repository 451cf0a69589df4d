"""Degradations D: how a low-resolution picture comes from a high-resolution one."""
