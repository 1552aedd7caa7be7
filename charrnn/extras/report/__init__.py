"""report.html: what became of a run, on one page, written when the run ends."""
