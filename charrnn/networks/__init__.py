"""Recurrent cells, and the networks that are built of them."""
