"""The compiled engine in int8, which writes long texts fast."""
