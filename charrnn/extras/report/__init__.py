"""report.html: a page about a run, written when the run ends."""
